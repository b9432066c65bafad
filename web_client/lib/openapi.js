// An OpenAPI document as lists that a page can draw. Pure.

/** @typedef {{ name: string, type: string, required: boolean, note: string }} Field */
/** @typedef {{ title: string, description: string, schema: Record<string, any> }} Body */
/**
 * @typedef {object} Operation
 * @property {string} method
 * @property {string} path
 * @property {string} group
 * @property {string} description
 * @property {boolean} secured
 * @property {string} contentType
 * @property {Field[]} parameters
 * @property {Body[]} bodies the alternatives of a request's body
 */

/**
 * @param {Record<string, any>} schema
 * @param {Record<string, any>} document
 * @returns {Record<string, any>}
 */
function resolved(schema, document) {
  if (!schema?.$ref) return schema ?? {};
  const name = schema.$ref.split("/").at(-1);
  return { title: name, ...document.components.schemas[name] };
}

/**
 * A schema's type in a few characters: "text, 1..2000 characters" or "mic | idle".
 * @param {Record<string, any>} schema
 * @param {Record<string, any>} document
 * @returns {string}
 */
export function typeText(schema, document) {
  const own = resolved(schema, document);
  const choices = own.anyOf ?? own.oneOf;
  if (choices) {
    const texts = choices.map((/** @type {any} */ choice) => typeText(choice, document));
    return texts.filter((/** @type {string} */ text) => text !== "null").join(" | ");
  }
  if (own.const !== undefined) return JSON.stringify(own.const);
  if (own.enum) return own.enum.join(" | ");
  if (own.type === "array") return `list of ${typeText(own.items ?? {}, document)}`;
  if (own.type === "object") return own.title ?? "object";
  const low = own.minimum ?? own.minLength;
  const high = own.maximum ?? own.maxLength;
  const range = high === undefined ? "" : ` ${low ?? 0}..${high}`;
  return `${own.type ?? "any"}${range}`;
}

/**
 * @param {Record<string, any>} schema of an object
 * @param {Record<string, any>} document
 * @returns {Field[]}
 */
export function fieldsOf(schema, document) {
  const own = resolved(schema, document);
  const required = own.required ?? [];
  return Object.entries(own.properties ?? {}).map(([name, field]) => ({
    name,
    type: typeText(field, document),
    required: required.includes(name),
    note: [field.description, field.default === undefined || field.default === null
      ? "" : `default ${JSON.stringify(field.default)}`].filter(Boolean).join("; "),
  }));
}

/**
 * The alternatives of a body: each choice of a union by itself.
 * @param {Record<string, any>} schema
 * @param {Record<string, any>} document
 * @returns {Body[]}
 */
function alternatives(schema, document) {
  const own = resolved(schema, document);
  const choices = own.oneOf ?? own.anyOf;
  if (choices) {
    return choices.flatMap((/** @type {any} */ choice) => alternatives(choice, document));
  }
  if (own.type === "null" || !own.properties) return [];
  const kind = own.properties.type?.const;
  const more = own.properties.kind?.const;
  return [{
    title: kind ? `"type": "${kind}"${more ? `, "kind": "${more}"` : ""}` : "",
    description: own.description ?? "",
    schema: own,
  }];
}

/**
 * @param {Record<string, any>} document
 * @returns {Operation[]}
 */
export function operations(document) {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const content = operation.requestBody?.content ?? {};
      const [contentType = ""] = Object.keys(content);
      return {
        method: method.toUpperCase(),
        path,
        group: operation.tags?.[0] ?? "server",
        description: operation.description ?? operation.summary ?? "",
        secured: Boolean(operation.security),
        contentType,
        parameters: (operation.parameters ?? []).map((/** @type {any} */ parameter) => ({
          name: parameter.name,
          type: typeText(parameter.schema, document),
          required: parameter.required ?? false,
          note: `in the ${parameter.in}`,
        })),
        bodies: contentType ? alternatives(content[contentType].schema, document) : [],
      };
    }),
  );
}

/**
 * @param {Operation} operation
 * @param {string} origin
 */
export function curl(operation, origin) {
  const parts = ["curl"];
  if (operation.method !== "GET") parts.push(`-X ${operation.method}`);
  if (operation.secured) parts.push(`-H "Authorization: Bearer $TOKEN"`);
  const example = operation.bodies.find((body) => body.schema.properties?.text) ?? operation.bodies[0];
  if (operation.contentType === "application/json") {
    const filled = example?.schema.properties?.type?.const
      ? { type: example.schema.properties.type.const,
        ...(example.schema.properties.text && { text: "Hello" }) }
      : {};
    parts.push(`--json '${JSON.stringify(filled)}'`);
  }
  return `${parts.join(" ")} ${origin}${operation.path.replaceAll("{ident}", "$SESSION")}`;
}

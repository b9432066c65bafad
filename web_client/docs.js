// The HTTP interface for people: /openapi.json as a page, with a line for curl at each call.

import { curl, fieldsOf, operations } from "/static/lib/openapi.js";

/**
 * @param {string} tag
 * @param {string} [text]
 * @param {string} [className]
 */
function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** @param {import("/static/lib/openapi.js").Field[]} fields */
function table(fields) {
  const list = element("table");
  for (const field of fields) {
    const row = element("tr");
    const name = element("th", field.name + (field.required ? "" : "?"));
    name.setAttribute("scope", "row");
    row.append(name, element("td", field.type), element("td", field.note));
    list.append(row);
  }
  return list;
}

/**
 * @param {import("/static/lib/openapi.js").Operation} operation
 * @param {Record<string, any>} document
 */
function card(operation, document) {
  const box = /** @type {HTMLDetailsElement} */ (element("details", "", "operation"));
  const title = element("summary");
  title.append(
    element("span", operation.method, `method ${operation.method.toLowerCase()}`),
    element("code", operation.path),
  );
  if (operation.secured) title.append(element("span", "token", "pill"));
  box.append(title, element("p", operation.description));
  if (operation.parameters.length) box.append(table(operation.parameters));
  for (const body of operation.bodies) {
    if (body.title) box.append(element("h3", body.title));
    if (body.description) box.append(element("p", body.description, "hint"));
    box.append(table(fieldsOf(body.schema, document)));
  }
  box.append(element("pre", curl(operation, location.origin)));
  return box;
}

const document_ = await (await fetch("/openapi.json")).json();
const box = /** @type {HTMLElement} */ (document.getElementById("operations"));
/** @type {Map<string, HTMLElement>} */
const groups = new Map();
for (const operation of operations(document_)) {
  let group = groups.get(operation.group);
  if (!group) {
    group = element("section");
    group.append(element("h2", operation.group));
    groups.set(operation.group, group);
    box.append(group);
  }
  group.append(card(operation, document_));
}

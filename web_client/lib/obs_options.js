// What the address of the OBS page asks for. Whatever makes no sense is passed over: a live
// picture with a default is better than none.

/**
 * @typedef {object} ObsOptions
 * @property {string} session empty: the newest one
 * @property {boolean} alpha transparent around the person
 * @property {boolean} hard edges for a keyer instead of soft ones
 * @property {string} background a CSS colour behind the person, or "transparent"
 * @property {number} size side of the whole picture in pixels; 0: as large as fits
 * @property {number[]} crop left, top, width, height as shares of the picture
 * @property {boolean} captions
 * @property {boolean} mute
 * @property {number | null} latencyMs how much the browser may hold back to play smoothly
 * @property {string} query what of it is for the server
 */

/** @param {string | null} text */
function colour(text) {
  return /^[0-9a-f]{6}$/i.test(text ?? "") ? `#${text}` : null;
}

/**
 * "left,top,width,height" in percent.
 * @param {string | null} text
 */
function cropped(text) {
  const parts = (text ?? "").split(",").map((part) => Number(part) / 100);
  const [left, top, width, height] = parts;
  const whole = [0, 0, 1, 1];
  if (parts.length !== 4 || !parts.every(Number.isFinite)) return whole;
  const inside = left >= 0 && top >= 0 && left + width <= 1 && top + height <= 1;
  return inside && width > 0 && height > 0 ? parts : whole;
}

/**
 * @param {string | null} text
 * @param {number} most
 */
function number(text, most) {
  const value = Number(text);
  return text !== null && value >= 0 && value <= most ? value : null;
}

/**
 * @param {string} search of the page's address
 * @returns {ObsOptions}
 */
export function obsOptions(search) {
  const given = new URLSearchParams(search);
  /** @param {string} name */
  const on = (name) => given.has(name) && !["0", "false", "no"].includes(given.get(name) ?? "");
  const key = colour(given.get("chroma"));
  const alpha = !given.has("alpha") || on("alpha");
  // This viewer's own lip-sync offset: `?offset=120`, or the one that a `?profile=` has for OBS.
  const query = new URLSearchParams({ kind: "obs", alpha: String(alpha) });
  const [offset, profile] = [given.get("offset"), given.get("profile")];
  if (offset) query.set("offset_ms", offset);
  if (profile) query.set("profile", profile);
  return {
    session: given.get("session") ?? "",
    alpha,
    hard: key !== null,
    background: key ?? colour(given.get("background")) ?? "transparent",
    size: number(given.get("size"), 8192) ?? 0,
    crop: cropped(given.get("crop")),
    captions: on("captions"),
    mute: on("mute"),
    latencyMs: number(given.get("latency"), 4000),
    query: query.toString(),
  };
}

/**
 * Where the whole picture lies in the window, so that the crop is as large as fits (or the
 * picture has its wished size) and stands in the middle.
 * @param {ObsOptions} options
 * @param {number} width of the window
 * @param {number} height
 */
export function placed(options, width, height) {
  const [left, top, wide, high] = options.crop;
  const side = options.size || Math.min(width / wide, height / high);
  return {
    side,
    left: (width - side * wide) / 2 - side * left,
    top: (height - side * high) / 2 - side * top,
  };
}

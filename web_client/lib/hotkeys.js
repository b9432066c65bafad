// Keys of the studio page. Which key means what is pure; nothing fires while one types.

/** [keys as shown, word] in the order of the help. */
export const HOTKEYS = /** @type {const} */ ([
  ["M, Space", "keyMute"],
  ["Esc", "keyInterrupt"],
  ["G", "keyLive"],
  ["P", "keyPause"],
  ["N", "keySkip"],
  ["1 – 9", "keyPortrait"],
  ["[  ]", "keyOffset"],
  ["{  }", "keyOffsetFine"],
  ["R", "keyRecord"],
  ["S", "keySound"],
  ["T", "keyType"],
  ["?", "keyHelp"],
]);

/** @typedef {{ action: string, value?: number }} Meaning */
/** @type {Record<string, Meaning>} */
const MEANINGS = {
  m: { action: "mute" },
  " ": { action: "mute" },
  Escape: { action: "interrupt" },
  g: { action: "live" },
  p: { action: "pause" },
  n: { action: "skip" },
  "[": { action: "offset", value: -10 },
  "]": { action: "offset", value: 10 },
  "{": { action: "offset", value: -1 },
  "}": { action: "offset", value: 1 },
  r: { action: "record" },
  s: { action: "sound" },
  t: { action: "type" },
  "?": { action: "help" },
};

/**
 * @typedef {object} Press
 * @property {string} key
 * @property {boolean} [repeat]
 * @property {boolean} [ctrlKey]
 * @property {boolean} [metaKey]
 * @property {boolean} [altKey]
 * @property {string} [focus] what has the focus: an element's tag, for inputs "INPUT:type"
 */

const TYPING = /^(TEXTAREA|SELECT|EDITABLE|INPUT:(?!range$|checkbox$|radio$|button$|file$).*)$/;
// Space presses these, arrows and digits do not concern us.
const PRESSED = /^(BUTTON|SUMMARY|A|INPUT:.*)$/;

/**
 * What a key press means; null when it is not for us.
 * @param {Press} press
 * @returns {Meaning | null}
 */
export function meaning(press) {
  const focus = press.focus ?? "";
  if (press.ctrlKey || press.metaKey || press.altKey || TYPING.test(focus)) return null;
  if (press.key === " " && PRESSED.test(focus)) return null;
  if (/^[1-9]$/.test(press.key)) return { action: "portrait", value: Number(press.key) };
  const key = press.key.length === 1 ? press.key.toLowerCase() : press.key;
  const found = MEANINGS[key] ?? null;
  if (press.repeat && found?.action !== "offset") return null;
  return found;
}

/** @param {Element | null} element */
export function focusOf(element) {
  if (!element) return "";
  if (/** @type {HTMLElement} */ (element).isContentEditable) return "EDITABLE";
  const type = /** @type {HTMLInputElement} */ (element).type;
  return element.tagName === "INPUT" ? `INPUT:${type}` : element.tagName;
}

/**
 * Call `act` for each press that means something, unless a dialog is open.
 * @param {(meaning: Meaning) => void} act
 */
export function listenForKeys(act) {
  addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    const { key, repeat, ctrlKey, metaKey, altKey } = event;
    const focus = focusOf(document.activeElement);
    const found = meaning({ key, repeat, ctrlKey, metaKey, altKey, focus });
    if (!found) return;
    event.preventDefault();
    act(found);
  });
}

/**
 * @param {HTMLElement} list a `dl`
 * @param {Record<string, string>} words
 */
export function showKeys(list, words) {
  list.replaceChildren(
    ...HOTKEYS.flatMap(([keys, word]) => {
      const term = document.createElement("dt");
      term.textContent = words[word];
      const caps = keys.split(/, | {2}/).map((key) => {
        const cap = document.createElement("kbd");
        cap.textContent = key;
        return cap;
      });
      const text = document.createElement("dd");
      text.append(...caps);
      return [term, text];
    }),
  );
}

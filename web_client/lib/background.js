// The card that chooses what stands behind the person.

import { showChoice } from "./choice.js";

const KINDS = /** @type {const} */ (["keep", "blur", "colour", "image", "none"]);

/**
 * "#rrggbb" and "image:ID" by their kind, the others as they are.
 * @param {string} background
 */
export function kindOf(background) {
  if (background.startsWith("#")) return "colour";
  return background.startsWith("image:") ? "image" : background;
}

export class BackgroundCard {
  /**
   * @param {HTMLElement} box has a colour input, a place for files and a hint
   * @param {(background: string) => void} change
   */
  constructor(box, change) {
    this.box = box;
    this.change = change;
    this.image = "";
    this.colour = /** @type {HTMLInputElement} */ (box.querySelector("[type=color]"));
    this.colour.onchange = () => this.choose(this.colour.value);
  }

  /**
   * @param {string} background
   * @param {boolean} allowed whether the portrait can stand before another one
   * @param {Record<string, string>} words
   */
  show(background, allowed, words) {
    const items = KINDS.map((kind) => ({
      value: kind,
      text: words[`background_${kind}`],
      checked: kind === kindOf(background),
      disabled: !allowed && kind !== "keep",
    }));
    showChoice(this.box, "background", words.background, items, (kind) => this.picked(kind));
    if (background.startsWith("#")) this.colour.value = background;
    if (background.startsWith("image:")) this.image = background;
    this.reveal(kindOf(background));
    /** @type {HTMLElement} */ (this.box.querySelector(".hint")).hidden = allowed;
  }

  /** @param {string} kind */
  picked(kind) {
    this.reveal(kind);
    if (kind === "colour") this.choose(this.colour.value);
    else if (kind !== "image") this.choose(kind);
    else if (this.image) this.choose(this.image);
  }

  /** @param {string} background */
  choose(background) {
    if (background.startsWith("image:")) this.image = background;
    this.change(background);
  }

  /** @param {string} kind its further choice is shown */
  reveal(kind) {
    for (const part of this.box.querySelectorAll("[data-kind]")) {
      /** @type {HTMLElement} */ (part).hidden = part.getAttribute("data-kind") !== kind;
    }
  }
}

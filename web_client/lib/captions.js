// What is being said, in one line: shown while it is heard.

const LINGER_MS = 400;

/** @typedef {{ text: string, start_ms: number, end_ms: number }} Caption */

/**
 * How long a caption still stays, `shownForMs` after it came: it comes as its first word is heard.
 * @param {Caption} caption
 * @param {number} shownForMs
 */
export function leftMs(caption, shownForMs) {
  return Math.max(0, caption.end_ms - caption.start_ms + LINGER_MS - shownForMs);
}

export class CaptionLine {
  /** @param {HTMLElement} element hidden while nothing is said */
  constructor(element) {
    this.element = element;
    this.timer = 0;
    this.startMs = -1;
    this.cameMs = 0;
  }

  /** @param {Caption} caption one with the same start replaces the former */
  show(caption) {
    if (caption.start_ms !== this.startMs) this.cameMs = performance.now();
    this.startMs = caption.start_ms;
    this.write(caption.text);
    clearTimeout(this.timer);
    const left = leftMs(caption, performance.now() - this.cameMs);
    this.timer = setTimeout(() => this.write(""), left);
  }

  /** @param {string} text */
  write(text) {
    this.element.textContent = text;
    this.element.hidden = !text;
  }
}

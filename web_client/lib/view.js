// What the page draws from data: portraits, voices, sliders, the fitness report, figures.

import { showChoice } from "./choice.js";

/** @typedef {{ id: string, name: string, thumbnail: string }} Portrait */
/** @typedef {import("./reasons.js").Reason} Reason */

/** [setting, element id, word, min, max, step, neutral] */
const SLIDERS = /** @type {const} */ ([
  ["lip_sync_offset_ms", "offset", "offset", -500, 500, 1, 0],
  ["dynamic_scale", "dynamic-scale", "dynamicScale", 0.5, 2, 0.05, 1],
  ["motion_scale", "motion-scale", "motionScale", 0, 2, 0.05, 1],
  ["smoothing", "smoothing", "smoothing", 0, 1, 0.05, 0.5],
]);
const EXPRESSIONS = ["neutral", "happy", "serious", "surprised"];
const SEND_AFTER_MS = 80;

/**
 * @param {HTMLElement} box
 * @param {Portrait[]} portraits
 * @param {string} current
 * @param {(id: string) => void} choose
 */
export function showPortraits(box, portraits, current, choose) {
  box.replaceChildren(
    ...portraits.map((portrait) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.portrait = portrait.id;
      button.setAttribute("aria-pressed", String(portrait.id === current));
      button.setAttribute("aria-label", portrait.name);
      button.title = portrait.name;
      const picture = document.createElement("img");
      picture.src = portrait.thumbnail;
      picture.alt = "";
      button.append(picture);
      button.onclick = () => choose(portrait.id);
      return button;
    }),
  );
}

/**
 * @param {HTMLSelectElement} select
 * @param {{ id: string, name: string }[]} voices
 * @param {string} automatic
 */
export function showVoices(select, voices, automatic) {
  const chosen = select.value;
  select.replaceChildren(
    new Option(automatic, ""),
    ...voices.map((voice) => new Option(voice.name, voice.id)),
  );
  select.value = chosen;
}

/**
 * The value of a slider in words: an offset tells its direction.
 * @param {string} setting
 * @param {number} value
 * @param {Record<string, string>} words
 */
export function valueText(setting, value, words) {
  if (setting !== "lip_sync_offset_ms") return `×${value.toFixed(2)}`;
  if (value === 0) return "0 ms";
  return `${Math.abs(value)} ms ${value > 0 ? words.later : words.earlier}`;
}

/**
 * @param {HTMLElement} box its heading stays
 * @param {Record<string, number>} settings
 * @param {Record<string, string>} words
 * @param {(setting: string, value: number) => void} change
 */
export function showSliders(box, settings, words, change) {
  for (const old of box.querySelectorAll(".slider")) old.remove();
  for (const [setting, id, word, min, max, step, neutral] of SLIDERS) {
    const label = document.createElement("label");
    label.className = "slider";
    const output = document.createElement("output");
    const input = document.createElement("input");
    Object.assign(input, { id, type: "range", min, max, step, value: settings[setting] });
    const describe = () => {
      output.textContent = valueText(setting, input.valueAsNumber, words);
      input.setAttribute("aria-valuetext", output.textContent);
    };
    let timer = 0;
    input.oninput = () => {
      describe();
      clearTimeout(timer);
      timer = setTimeout(() => change(setting, input.valueAsNumber), SEND_AFTER_MS);
    };
    input.ondblclick = () => {
      input.value = String(neutral);
      input.dispatchEvent(new Event("input"));
    };
    describe();
    const name = document.createElement("span");
    name.textContent = words[word];
    label.append(name, output, input);
    box.append(label);
  }
}

/**
 * @param {HTMLElement} box its heading stays
 * @param {string} current
 * @param {Record<string, string>} words
 * @param {(expression: string) => void} change
 */
export function showExpressions(box, current, words, change) {
  const items = EXPRESSIONS.map((expression) => ({
    value: expression,
    text: words[expression],
    checked: expression === current,
  }));
  showChoice(box, "expression", words.expression, items, change);
}

/**
 * @param {HTMLElement} box
 * @param {Reason[]} reasons
 * @param {string} praise shown when there is nothing to say
 */
export function showReport(box, reasons, praise) {
  if (!reasons.length) {
    box.textContent = praise;
    return;
  }
  const list = document.createElement("ul");
  for (const reason of reasons) {
    const item = document.createElement("li");
    item.className = reason.severity;
    item.textContent = reason.message;
    const advice = document.createElement("small");
    advice.textContent = reason.advice;
    item.append(advice);
    list.append(item);
  }
  box.replaceChildren(list);
}

/**
 * @param {HTMLElement} list a `dl`
 * @param {Record<string, any>} figures
 */
export function showStats(list, figures) {
  const rows = Object.entries(figures).flatMap(([name, value]) => {
    if (name === "type" || value === null || value === undefined) return [];
    if (typeof value !== "object") return [[name, String(value)]];
    if (name !== "stages") {
      return Object.entries(value).map(([part, count]) => [`${name} ${part}`, String(count)]);
    }
    return Object.entries(value).map(([stage, ms]) => [`${stage} ms`, `${ms.p50} / ${ms.p95}`]);
  });
  list.replaceChildren(
    ...rows.flatMap(([name, value]) => {
      const term = document.createElement("dt");
      term.textContent = name.replaceAll("_", " ");
      const text = document.createElement("dd");
      text.textContent = value;
      return [term, text];
    }),
  );
}

/**
 * Each beep's skew as a dot, the middle as a line, on a scale that fits them.
 * @param {HTMLCanvasElement} canvas
 * @param {number[]} skews in ms
 * @param {number} middle
 */
export function drawSkews(canvas, skews, middle) {
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const style = getComputedStyle(canvas);
  const { width, height } = canvas;
  const most = Math.max(50, ...skews.map(Math.abs)) * 1.15;
  /** @param {number} ms */
  const y = (ms) => height / 2 - (ms / most) * (height / 2);
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = pen.strokeStyle = style.color;
  pen.font = "20px system-ui, sans-serif";
  const step = most > 250 ? 100 : most > 100 ? 50 : 20;
  for (let ms = -Math.floor(most / step) * step; ms <= most; ms += step) {
    pen.globalAlpha = ms ? 0.15 : 0.5;
    pen.fillRect(60, y(ms), width - 60, 1);
    pen.globalAlpha = 0.7;
    pen.fillText(String(ms), 0, y(ms) + 7);
  }
  pen.globalAlpha = 1;
  skews.forEach((skew, index) => {
    pen.beginPath();
    pen.arc(75 + (index * (width - 90)) / 40, y(skew), 5, 0, 2 * Math.PI);
    pen.fill();
  });
  if (Number.isNaN(middle)) return;
  pen.strokeStyle = style.getPropertyValue("--accent");
  pen.lineWidth = 3;
  pen.beginPath();
  pen.moveTo(60, y(middle));
  pen.lineTo(width, y(middle));
  pen.stroke();
}

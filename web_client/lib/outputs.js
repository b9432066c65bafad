// The card of outputs: recording, streams, devices; each with its state and its own offset.

import { stopIcon } from "./icons.js";

/** @typedef {{ id: string, kind: string, state: string, reason: string, target: string, offset_ms?: number }} Output */
/** @typedef {(command: { type: string, [field: string]: any }) => void} Send */

export const RECORDING = "recording";
/** Which field each kind is opened with. */
const FIELD = /** @type {Record<string, string>} */ (
  { rtmp: "url", srt: "url", whip: "url", camera: "device", speaker: "device" }
);

/** @param {Output[]} outputs */
export function isRecording(outputs) {
  return outputs.some((output) => output.id === RECORDING && output.state !== "failed");
}

/**
 * A name that no output has yet.
 * @param {string} kind
 * @param {Output[]} outputs
 */
export function freeName(kind, outputs) {
  const taken = new Set(outputs.map((output) => output.id));
  for (let number = 1; ; number++) {
    const name = number === 1 ? kind : `${kind} ${number}`;
    if (!taken.has(name)) return name;
  }
}

/**
 * The command that opens what the form asks for.
 * @param {FormData} form
 * @param {Output[]} outputs
 */
export function openCommand(form, outputs) {
  const kind = String(form.get("kind"));
  const address = String(form.get("address") ?? "").trim();
  const token = String(form.get("token") ?? "").trim();
  return {
    type: "sink_open",
    kind,
    id: freeName(kind, outputs),
    [FIELD[kind]]: address,
    ...(kind === "whip" && token && { token }),
  };
}

/**
 * Draw the list anew, leaving a field that is being edited alone.
 * @param {HTMLElement} list
 * @param {Output[]} outputs
 * @param {Record<string, string>} words
 * @param {Send} send
 */
export function showOutputs(list, outputs, words, send) {
  if (list.contains(document.activeElement) && document.activeElement?.tagName === "INPUT") return;
  list.replaceChildren(...outputs.map((output) => row(output, words, send)));
}

/**
 * @param {Output} output
 * @param {Record<string, string>} words
 * @param {Send} send
 */
function row(output, words, send) {
  const item = document.createElement("li");
  item.dataset.state = output.state;
  const name = document.createElement("span");
  name.className = "name";
  name.textContent = output.id;
  const state = document.createElement("small");
  state.textContent = [words[`sink_${output.state}`] ?? output.state, output.reason, output.target]
    .filter(Boolean).join(" · ");
  const offset = document.createElement("input");
  Object.assign(offset, {
    type: "number", min: "-500", max: "500", step: "10", value: String(output.offset_ms ?? 0),
  });
  offset.setAttribute("aria-label", `${words.offset}: ${output.id}, ms`);
  offset.title = words.offset;
  offset.onchange = () => {
    if (!offset.checkValidity()) return offset.reportValidity();
    send({ type: "sink_offset", id: output.id, offset_ms: Math.round(offset.valueAsNumber) });
  };
  const close = document.createElement("button");
  close.type = "button";
  close.setAttribute("aria-label", `${words.closeOutput}: ${output.id}`);
  close.append(stopIcon());
  close.onclick = () => send({ type: "sink_close", id: output.id });
  item.append(name, offset, close, state);
  return item;
}

/** The name of the newest recording; empty when there is none, or none may be seen. */
export async function newestRecording() {
  const answer = await fetch("/api/recordings");
  const [newest] = answer.ok ? await answer.json() : [];
  return /** @type {string} */ (newest?.name ?? "");
}

/**
 * Link to the file once it is finished, which takes a moment.
 * @param {HTMLElement} place
 * @param {string} before the newest when it began
 * @param {string} word
 */
export async function showRecorded(place, before, word) {
  for (let attempt = 0; attempt < 8; attempt++) {
    const name = await newestRecording();
    if (name !== before) {
      const link = document.createElement("a");
      link.href = `/api/recordings/${encodeURIComponent(name)}`;
      link.textContent = name;
      place.replaceChildren(`${word}: `, link);
      place.hidden = false;
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

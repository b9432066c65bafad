// The microphone's switches: noise, gate, level, and whether talk interrupts.

/** [setting, word, value when on, value when off] */
const SWITCHES = /** @type {const} */ ([
  ["noise_suppression", "noiseSuppression", true, false],
  ["voice_gate", "voiceGate", true, false],
  ["auto_gain", "autoGain", true, false],
  ["barge_in", "bargeIn", "voice", "off"],
]);

/**
 * @param {HTMLElement} box its heading stays
 * @param {Record<string, any>} settings
 * @param {Record<string, string>} words
 * @param {(setting: string, value: any) => void} change
 */
export function showSwitches(box, settings, words, change) {
  for (const old of box.querySelectorAll(".switch")) old.remove();
  for (const [setting, word, on, off] of SWITCHES) {
    const label = document.createElement("label");
    label.className = "switch";
    const input = document.createElement("input");
    Object.assign(input, { type: "checkbox", name: setting, checked: settings[setting] === on });
    input.onchange = () => change(setting, input.checked ? on : off);
    const name = document.createElement("span");
    name.textContent = words[word];
    label.append(input, name);
    box.append(label);
  }
}

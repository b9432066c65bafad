// The calibration page: a testcard session of its own, measured here or judged by eye.

import { WORDS, preferredLanguage, translate } from "/static/lib/i18n.js";
import { SkewMeter, median } from "/static/lib/meter.js";
import { AvatarConnection } from "/static/lib/rtc.js";
import { Signalling } from "/static/lib/signalling.js";
import { drawSkews, valueText } from "/static/lib/view.js";

/** The browser's own audio-video synchronisation needs this long to settle. */
const SETTLE_MS = 15_000;
const KEPT = 40;
const NEEDED = 5;

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const video = /** @type {HTMLVideoElement} */ (byId("avatar"));
const eye = /** @type {HTMLInputElement} */ (byId("eye"));
const start = /** @type {HTMLButtonElement} */ (byId("start"));
const apply = /** @type {HTMLButtonElement} */ (byId("apply"));
const graph = /** @type {HTMLCanvasElement} */ (byId("graph"));
const words = WORDS[preferredLanguage()];
/** The offset of this browser's own view, kept in this browser. */
const OFFSET_KEY = "offset_ms";

/** @type {Record<string, any>} */
let welcome = {};
/** @type {AvatarConnection | null} */
let connection = null;
/** @type {SkewMeter | null} */
let meter = null;
/** @type {number[]} */
let skews = [];
let applied = 0;
let measuredFrom = 0;

const signalling = new Signalling(hello, receive, (open) => {
  if (open === "closed") setState("reconnecting");
});

function hello() {
  if (!welcome.session) return { type: "hello", calibrate: true };
  return { type: "hello", session: welcome.session, resume: welcome.resume };
}

/** @param {import("/static/lib/signalling.js").Message} data */
function receive(data) {
  if (data.type === "welcome") enter(data);
  else if (data.type === "answer") connection?.accept(data.sdp).then(connected);
  else if (data.type === "error") {
    if (["no_session", "bad_token", "worker_failed"].includes(data.code)) welcome = {};
    say(data.code === "server_full" ? words.serverFull : data.message, true);
  }
}

/** @param {Record<string, any>} data */
async function enter(data) {
  welcome = data;
  byId("message").hidden = true;
  connection?.close();
  const mine = new AvatarConnection(video, welcome.ice_servers, false);
  connection = mine;
  mine.peer.onconnectionstatechange = () => {
    if (mine !== connection) return;
    if (mine.peer.connectionState === "connected") setState("ready");
    if (mine.peer.connectionState === "failed") enter(welcome);
  };
  signalling.send({ type: "offer", sdp: await mine.offer() });
}

function connected() {
  setOffset("studio", applied);
  setEye(eye.valueAsNumber);
  video.play().catch(() => undefined);
}

/** @param {"connecting" | "ready" | "reconnecting"} state */
function setState(state) {
  document.body.dataset.state = state;
  byId("status").textContent = words[state];
  start.disabled = state !== "ready";
}

/**
 * @param {string} text
 * @param {boolean} [isError]
 */
function say(text, isError = false) {
  byId("message").textContent = text;
  byId("message").classList.toggle("error", isError);
  byId("message").hidden = false;
}

/**
 * @param {string} id of a sink
 * @param {number} offset
 */
function setOffset(id, offset) {
  signalling.send({ type: "sink_offset", id, offset_ms: offset });
}

async function measure() {
  await meter?.stop();
  meter = new SkewMeter(video, heard);
  skews = [];
  measuredFrom = performance.now() + SETTLE_MS;
  start.textContent = words.calAgain;
  byId("figure").textContent = words.calSettling;
  try {
    await meter.start();
  } catch {
    say(words.calNoSound, true);
  }
}

/** @param {number} skew in ms; negative: the picture is early */
function heard(skew) {
  if (performance.now() < measuredFrom) return;
  skews = [...skews, skew].slice(-KEPT);
  show();
}

function show() {
  const middle = median(skews);
  drawSkews(graph, skews, middle);
  byId("figure").textContent = skews.length < NEEDED
    ? words.calSettling
    : `${Math.round(Math.abs(middle))} ms ${middle > 0 ? words.later : words.earlier}`;
  byId("figure").dataset.skew = skews.length < NEEDED ? "" : middle.toFixed(1);
  byId("detail").textContent =
    `${words.calBeeps}: ${skews.length} · ${words.calTap}: ${Math.round(meter?.tapMs ?? 0)} ms · ` +
    `${words.calOffset}: ${applied} ms`;
  apply.disabled = skews.length < NEEDED;
}

/** Take the measured skew away, for this browser's own view: here and in the studio. */
function applyMeasured() {
  applied = limited(applied - Math.round(median(skews)));
  localStorage.setItem(OFFSET_KEY, String(applied));
  setOffset("studio", applied);
  skews = [];
  measuredFrom = performance.now() + SETTLE_MS;
  show();
}

/** @param {number} value */
function limited(value) {
  return Math.max(-500, Math.min(500, value));
}

/** Every viewer of the card but this page itself is the chain to be judged by eye. */
async function setEye(/** @type {number} */ value) {
  eye.value = String(value);
  byId("eye-value").textContent = valueText("lip_sync_offset_ms", value, words);
  if (!welcome.session) return;
  const answer = await fetch(`/api/sessions/${encodeURIComponent(welcome.session)}`);
  if (!answer.ok) return;
  for (const sink of (await answer.json()).sinks) {
    if (sink.id !== "studio") setOffset(sink.id, value);
  }
}

async function showProfiles() {
  const profiles = await (await fetch("/api/profiles")).json();
  byId("profiles").replaceChildren(
    ...Object.entries(profiles).flatMap(([name, offsets]) => {
      const term = document.createElement("dt");
      term.textContent = name;
      const text = document.createElement("dd");
      text.textContent = Object.entries(offsets).map(([kind, ms]) => `${kind} ${ms} ms`).join(", ");
      return [term, text];
    }),
  );
}

/** @param {SubmitEvent} event */
async function saveProfile(event) {
  event.preventDefault();
  const input = /** @type {HTMLInputElement} */ (byId("profile-name"));
  const name = input.value.trim();
  const answer = await fetch(`/api/profiles/${encodeURIComponent(name)}`, {
    method: "PUT",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${welcome.resume}` },
    body: JSON.stringify({ webrtc: applied, obs: eye.valueAsNumber }),
  });
  if (answer.ok) say(`${words.calSaved} /obs?profile=${encodeURIComponent(name)}`);
  else say((await answer.json()).error?.message ?? words.network, true);
  await showProfiles();
}

start.onclick = measure;
apply.onclick = applyMeasured;
eye.oninput = () => setEye(eye.valueAsNumber);
for (const button of document.querySelectorAll("[data-step]")) {
  const step = Number(/** @type {HTMLElement} */ (button).dataset.step);
  /** @type {HTMLElement} */ (button).onclick = () => {
    eye.step = "1";
    setEye(limited(eye.valueAsNumber + step));
  };
}
byId("copy").onclick = async () => {
  await navigator.clipboard.writeText(`${location.origin}/obs?session=${encodeURIComponent(welcome.session)}`);
  byId("copy").textContent = words.copied;
};
byId("profile").onsubmit = saveProfile;
document.title = words.calTitle;
translate(document, words);
const theme = localStorage.getItem("theme");
if (theme) document.documentElement.dataset.theme = theme;
setState("connecting");
byId("eye-value").textContent = valueText("lip_sync_offset_ms", 0, words);
showProfiles().catch(() => undefined);

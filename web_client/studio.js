// The studio page: wires the elements to the session.

import { BackgroundCard } from "/static/lib/background.js";
import { CaptionLine } from "/static/lib/captions.js";
import { listenForKeys, showKeys } from "/static/lib/hotkeys.js";
import { WORDS, preferredLanguage, translate } from "/static/lib/i18n.js";
import { microphoneIcon, speakerIcon, themeIcon } from "/static/lib/icons.js";
import {
  RECORDING, isRecording, newestRecording, openCommand, showOutputs, showRecorded,
} from "/static/lib/outputs.js";
import { inLanguage } from "/static/lib/reasons.js";
import { AvatarConnection } from "/static/lib/rtc.js";
import { Signalling } from "/static/lib/signalling.js";
import { showSwitches } from "/static/lib/switches.js";
import { takeOver } from "/static/lib/takeover.js";
import { takeFiles, upload } from "/static/lib/upload.js";
import {
  showExpressions, showPortraits, showReport, showSliders, showStats, showVoices,
} from "/static/lib/view.js";

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const video = /** @type {HTMLVideoElement} */ (byId("avatar"));
const goLive = /** @type {HTMLButtonElement} */ (byId("go-live"));
const stopButton = /** @type {HTMLButtonElement} */ (byId("stop"));
const sayButton = /** @type {HTMLButtonElement} */ (byId("say-button"));
const sayText = /** @type {HTMLInputElement} */ (byId("say-text"));
const voice = /** @type {HTMLSelectElement} */ (byId("voice"));
const record = /** @type {HTMLButtonElement} */ (byId("record"));
const outputForm = /** @type {HTMLFormElement} */ (byId("output-form"));
const help = /** @type {HTMLDialogElement} */ (byId("help"));
const message = byId("message");
const caption = new CaptionLine(byId("caption"));
const backgroundCard = new BackgroundCard(byId("background"), (value) => set("background", value));
const FATAL = { server_full: "serverFull", no_session: "ended", bad_token: "ended",
  worker_failed: "workerFailed", draining: "network" };

let language = preferredLanguage();
let words = WORDS[language];
/** @type {Record<string, any>} */
let welcome = {};
/** @type {AvatarConnection | null} */
let connection = null;
/** @type {MediaStream | null} */
let microphone = null;
/** What the server last told of the session. @type {Record<string, any>} */
let told = { sinks: [], queue: 0 };
let recordedBefore = "";
/** For so long after a change of our own, what the server tells may be older than it. */
const ECHO_MS = 700;
let changedAt = 0;
/** @typedef {"connecting" | "ready" | "live" | "reconnecting" | "error"} State */
/** @type {State} */
let state = "connecting";

const signalling = new Signalling(hello, receive, (open) => {
  if (open === "closed") setState("reconnecting");
});

function hello() {
  takeOver();
  const session = sessionStorage.getItem("session");
  const resume = sessionStorage.getItem("resume");
  return session && resume ? { type: "hello", session, resume } : { type: "hello" };
}

/** @param {import("/static/lib/signalling.js").Message} data */
function receive(data) {
  if (data.type === "welcome") enter(data);
  else if (data.type === "answer") answered(data.sdp).catch(() => setState("error"));
  else if (data.type === "state") showState(data);
  else if (data.type === "stats") updateStats(data);
  else if (data.type === "caption") caption.show(/** @type {any} */ (data));
  else if (data.type === "notice") say(data.message);
  else if (data.type === "error") failed(data);
}

/** @param {Record<string, any>} data */
async function enter(data) {
  welcome = data;
  sessionStorage.setItem("session", data.session);
  sessionStorage.setItem("resume", data.resume);
  hideMessage();
  for (const notice of data.notices ?? []) say(notice.message);
  render();
  await connect();
}

async function connect() {
  connection?.close();
  const mine = new AvatarConnection(video, welcome.ice_servers, true);
  connection = mine;
  mine.peer.onconnectionstatechange = () => {
    if (mine !== connection) return;
    if (mine.peer.connectionState === "connected") setState(microphone ? "live" : "ready");
    if (mine.peer.connectionState === "failed") connect();
  };
  if (microphone) {
    await mine.setMicrophone(microphone.getAudioTracks()[0]);
    signalling.send({ type: "source", kind: "mic" });
  }
  signalling.send({ type: "offer", sdp: await mine.offer() });
  video.play().catch(() => undefined);
}

/** @param {string} sdp */
async function answered(sdp) {
  await connection?.accept(sdp);
  // What the calibration page found for this browser.
  const offset = Number(localStorage.getItem("offset_ms"));
  if (offset) signalling.send({ type: "sink_offset", id: "studio", offset_ms: offset });
}

/** @param {Record<string, any>} data */
function failed(data) {
  const key = FATAL[/** @type {keyof typeof FATAL} */ (data.code)];
  if (["no_session", "bad_token", "worker_failed"].includes(data.code)) {
    sessionStorage.clear();
  }
  say(key ? words[key] : data.message, true);
  if (data.code === "no_noise" && told.settings) {
    welcome.settings = told.settings;
    showSettings();
  }
}

/** @param {State} next */
function setState(next) {
  state = next;
  document.body.dataset.state = next;
  byId("status").textContent = words[next === "live" && told.settings?.mic_muted ? "muted" : next];
  const usable = next === "ready" || next === "live";
  goLive.disabled = stopButton.disabled = !usable;
  sayButton.disabled = !usable || !welcome.voices?.length;
  goLive.textContent = words[next === "live" ? "endLive" : "goLive"];
  byId("mute").hidden = next !== "live";
  record.disabled = !usable;
}

/** @param {Record<string, any>} data */
function showState(data) {
  document.body.dataset.source = data.source;
  document.body.dataset.speaking = String(data.speaking);
  const ended = isRecording(told.sinks) && !isRecording(data.sinks ?? []);
  const otherPortrait = data.portrait !== welcome.portrait;
  told = data;
  welcome.portrait = data.portrait;
  const settled = performance.now() - changedAt > ECHO_MS;
  if (otherPortrait || settled && JSON.stringify(welcome.settings) !== JSON.stringify(data.settings)) {
    if (settled) welcome.settings = data.settings;
    if (document.activeElement?.getAttribute("type") !== "range") showSettings();
  }
  showControls();
  if (ended) showRecorded(byId("recorded"), recordedBefore, words.recordings).catch(() => undefined);
  for (const button of byId("portraits").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.portrait === data.portrait));
  }
}

/** What follows from the session's state: buttons of microphone, queue and outputs. */
function showControls() {
  const muted = told.settings?.mic_muted ?? false;
  byId("mute").replaceChildren(microphoneIcon(!muted), words[muted ? "unmute" : "mute"]);
  byId("mute").setAttribute("aria-pressed", String(muted));
  setState(state);
  byId("queue").hidden = !told.queue;
  const waiting = told.queue - 1; // the first one is heard
  byId("queue-length").textContent = waiting > 0 ? `${waiting} ${words.queued}` : "";
  byId("pause").textContent = words[told.paused ? "goOn" : "pause"];
  const recording = isRecording(told.sinks);
  record.textContent = words[recording ? "endRecording" : "record"];
  record.setAttribute("aria-pressed", String(recording));
  showOutputs(byId("output-list"), told.sinks, words, (command) => signalling.send(command));
}

async function toggleRecording() {
  if (isRecording(told.sinks)) return signalling.send({ type: "sink_close", id: RECORDING });
  recordedBefore = await newestRecording().catch(() => "");
  signalling.send({ type: "sink_open", kind: "recording", id: RECORDING });
}

function toggleMute() {
  if (microphone) set("mic_muted", !told.settings?.mic_muted);
}

/** @param {Record<string, any>} data */
async function updateStats(data) {
  showStats(byId("stats"), { ...data, ...(await connection?.figures()) });
}

/**
 * @param {string} text
 * @param {boolean} [isError]
 */
function say(text, isError = false) {
  message.textContent = text;
  message.classList.toggle("error", isError);
  message.hidden = false;
}

function hideMessage() {
  message.hidden = true;
}

/** @param {string | undefined} problem what the server says; nothing: it was not reached */
const complain = (problem) => say(problem ?? words.network, true);

/** @param {boolean} muted */
function setMuted(muted) {
  video.muted = muted;
  byId("sound").replaceChildren(speakerIcon(!muted), words[muted ? "soundOff" : "soundOn"]);
  byId("sound").setAttribute("aria-pressed", String(!muted));
}

async function startMicrophone() {
  if (!navigator.mediaDevices) return say(words.micInsecure, true);
  goLive.textContent = words.asking;
  try {
    microphone = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
  } catch (error) {
    const name = error instanceof DOMException ? error.name : "";
    const known = { NotAllowedError: "micRefused", NotFoundError: "noMicrophone",
      NotReadableError: "micBusy" };
    goLive.textContent = words.goLive;
    return say(words[known[/** @type {keyof typeof known} */ (name)] ?? "micRefused"], true);
  }
  setMuted(true);
  const [track] = microphone.getAudioTracks();
  track.onended = stopMicrophone;
  await connection?.setMicrophone(track);
  signalling.send({ type: "source", kind: "mic" });
  setState("live");
  say(words.soundHint);
}

async function stopMicrophone() {
  signalling.send({ type: "stop" });
  await connection?.setMicrophone(null);
  microphone?.getTracks().forEach((track) => track.stop());
  microphone = null;
  hideMessage();
  setState("ready");
}

/** @param {File} file */
async function playFile(file) {
  say(words.sending);
  const { ok, body } = await upload("/api/files", file, welcome.resume, complain);
  if (!ok) return;
  hideMessage();
  setMuted(false);
  signalling.send({ type: "play", file: body.id });
}

/** @param {File} file */
async function addPortrait(file) {
  const report = byId("report");
  report.textContent = words.preparing;
  const { ok, body } = await upload("/api/portraits", file, welcome.resume, complain);
  const reasons = inLanguage(body.report?.reasons ?? [], language);
  showReport(report, reasons, ok ? words.portraitGood : "");
  if (!ok) return;
  hideMessage();
  const isKnown = welcome.portraits.some((/** @type {{ id: string }} */ one) => one.id === body.id);
  if (!isKnown) welcome.portraits.push(body);
  render();
  signalling.send({ type: "portrait", id: body.id });
}

/** @param {File} file */
async function addBackground(file) {
  say(words.sending);
  const { ok, body } = await upload("/api/backgrounds", file, welcome.resume, complain);
  if (!ok) return;
  hideMessage();
  backgroundCard.choose(`image:${body.id}`);
}

/**
 * @param {string} name
 * @param {number | string | boolean} value
 */
function set(name, value) {
  changedAt = performance.now();
  welcome.settings[name] = value;
  signalling.send({ type: "set", [name]: value });
}

function showBackground() {
  /** @param {{ id: string }} portrait */
  const isShown = (portrait) => portrait.id === welcome.portrait;
  const allowed = Boolean(welcome.portraits.find(isShown)?.matte);
  backgroundCard.show(welcome.settings.background, allowed, words);
}

function showSettings() {
  showBackground();
  showSliders(byId("sliders"), welcome.settings, words, set);
  showSwitches(byId("switches"), welcome.settings, words, set);
  showExpressions(byId("expressions"), welcome.settings.expression, words, (expression) =>
    set("expression", expression),
  );
}

/** @param {import("/static/lib/hotkeys.js").Meaning} meaning */
function act({ action, value = 0 }) {
  const offset = (welcome.settings?.lip_sync_offset_ms ?? 0) + value;
  const portrait = welcome.portraits?.[value - 1];
  if (action === "mute") toggleMute();
  else if (action === "interrupt") signalling.send({ type: "interrupt" });
  else if (action === "live" && !goLive.disabled) goLive.click();
  else if (action === "pause") signalling.send({ type: told.paused ? "resume" : "pause" });
  else if (action === "skip") signalling.send({ type: "skip" });
  else if (action === "portrait" && portrait) {
    signalling.send({ type: "portrait", id: portrait.id });
  } else if (action === "offset") {
    set("lip_sync_offset_ms", Math.max(-500, Math.min(500, offset)));
    showSettings();
  } else if (action === "record") toggleRecording();
  else if (action === "sound") setMuted(!video.muted);
  else if (action === "type") sayText.focus();
  else if (action === "help") help.showModal();
}

function render() {
  document.documentElement.lang = language;
  document.title = words.title;
  translate(document, words);
  byId("language").textContent = words.other;
  showKeys(byId("keys"), words);
  setState(state);
  setMuted(video.muted);
  if (!welcome.session) return;
  showVoices(voice, welcome.voices, words.autoVoice);
  byId("no-voice").hidden = byId("say").hidden = false;
  byId("no-voice").hidden = welcome.voices.length > 0;
  byId("say").hidden = welcome.voices.length === 0;
  showPortraits(byId("portraits"), welcome.portraits, welcome.portrait, (id) =>
    signalling.send({ type: "portrait", id }),
  );
  showSettings();
  showControls();
}

goLive.onclick = () => (microphone ? stopMicrophone() : startMicrophone());
stopButton.onclick = () => (microphone ? stopMicrophone() : signalling.send({ type: "stop" }));
byId("sound").onclick = () => setMuted(!video.muted);
byId("say").onsubmit = (event) => {
  event.preventDefault();
  const text = sayText.value.trim();
  if (!text) return;
  if (!microphone) setMuted(false);
  signalling.send({ type: "say", text, ...(voice.value && { voice: voice.value }) });
  sayText.value = "";
};
byId("language").onclick = () => {
  language = language === "en" ? "zh" : "en";
  localStorage.setItem("language", language);
  words = WORDS[language];
  render();
};
byId("theme").onclick = () => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.dataset.theme ?? (dark ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
};
for (const [id, query] of [["copy-obs", ""], ["copy-obs-plain", "&alpha=0"]]) {
  byId(id).onclick = async () => {
    const session = encodeURIComponent(welcome.session);
    const address = `${location.origin}/obs?session=${session}${query}`;
    await navigator.clipboard?.writeText(address).catch(() => undefined);
    say(`${words.copied}: ${address}`);
  };
}
for (const action of ["mute", "pause", "skip", "help", "record"]) {
  byId(action === "help" ? "help-button" : action).onclick = () => act({ action });
}
outputForm.onsubmit = (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  signalling.send(openCommand(new FormData(outputForm), told.sinks));
  outputForm.reset();
  outputForm.dispatchEvent(new Event("change"));
};
outputForm.onchange = () => {
  /** @type {HTMLElement} */ (outputForm.elements.namedItem("token")).hidden =
    new FormData(outputForm).get("kind") !== "whip";
};
listenForKeys(act);
takeFiles(byId("file-input"), playFile);
takeFiles(byId("portrait-upload"), addPortrait);
takeFiles(byId("background-upload"), addBackground);
byId("theme").append(themeIcon());
const theme = localStorage.getItem("theme");
if (theme) document.documentElement.dataset.theme = theme;
render();

// The studio page: wires the elements to the session.

import { CaptionLine } from "/static/lib/captions.js";
import { WORDS, preferredLanguage, translate } from "/static/lib/i18n.js";
import { AvatarConnection } from "/static/lib/rtc.js";
import { Signalling } from "/static/lib/signalling.js";
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
const message = byId("message");
const caption = new CaptionLine(byId("caption"));
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
/** @typedef {"connecting" | "ready" | "live" | "reconnecting" | "error"} State */
/** @type {State} */
let state = "connecting";

const signalling = new Signalling(hello, receive, (open) => {
  if (open === "closed") setState("reconnecting");
});

function hello() {
  const session = sessionStorage.getItem("session");
  const resume = sessionStorage.getItem("resume");
  return session && resume ? { type: "hello", session, resume } : { type: "hello" };
}

/** @param {import("/static/lib/signalling.js").Message} data */
function receive(data) {
  if (data.type === "welcome") enter(data);
  else if (data.type === "answer") connection?.accept(data.sdp).catch(() => setState("error"));
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

/** @param {Record<string, any>} data */
function failed(data) {
  const key = FATAL[/** @type {keyof typeof FATAL} */ (data.code)];
  if (["no_session", "bad_token", "worker_failed"].includes(data.code)) {
    sessionStorage.clear();
  }
  say(key ? words[key] : data.message, true);
}

/** @param {State} next */
function setState(next) {
  state = next;
  document.body.dataset.state = next;
  byId("status").textContent = words[next];
  const usable = next === "ready" || next === "live";
  goLive.disabled = stopButton.disabled = !usable;
  sayButton.disabled = !usable || !welcome.voices?.length;
  goLive.textContent = words[next === "live" ? "endLive" : "goLive"];
}

/** @param {Record<string, any>} data */
function showState(data) {
  document.body.dataset.source = data.source;
  document.body.dataset.speaking = String(data.speaking);
  welcome.portrait = data.portrait;
  for (const button of byId("portraits").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.portrait === data.portrait));
  }
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

/** @param {boolean} muted */
function setMuted(muted) {
  video.muted = muted;
  byId("sound").textContent = words[muted ? "soundOff" : "soundOn"];
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

/**
 * Send a file's bytes and read the answer; errors are shown.
 * @param {string} path
 * @param {File} file
 */
async function upload(path, file) {
  const address = `${path}?name=${encodeURIComponent(file.name.slice(0, 200))}`;
  try {
    const answer = await fetch(address, { method: "POST", body: file });
    const body = await answer.json();
    if (!answer.ok) say(body.error?.message ?? words.network, true);
    return { ok: answer.ok, body };
  } catch {
    say(words.network, true);
    return { ok: false, body: {} };
  }
}

/** @param {File} file */
async function playFile(file) {
  say(words.sending);
  const { ok, body } = await upload("/api/files", file);
  if (!ok) return;
  hideMessage();
  setMuted(false);
  signalling.send({ type: "play", file: body.id });
}

/** @param {File} file */
async function addPortrait(file) {
  const report = byId("report");
  report.textContent = words.preparing;
  const { ok, body } = await upload("/api/portraits", file);
  showReport(report, body.report ?? { reasons: [] }, ok ? words.portraitGood : "");
  if (!ok) return;
  hideMessage();
  welcome.portraits.push(body);
  render();
  signalling.send({ type: "portrait", id: body.id });
}

function render() {
  document.documentElement.lang = language;
  document.title = words.title;
  translate(document, words);
  byId("language").textContent = words.other;
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
  /** @param {string} name @param {number | string} value */
  const set = (name, value) => {
    welcome.settings[name] = value;
    signalling.send({ type: "set", [name]: value });
  };
  showSliders(byId("sliders"), welcome.settings, words, set);
  showExpressions(byId("expressions"), welcome.settings.expression, words, (expression) =>
    set("expression", expression),
  );
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
byId("copy-obs").onclick = async () => {
  const address = `${location.origin}/obs?session=${encodeURIComponent(welcome.session)}`;
  await navigator.clipboard?.writeText(address).catch(() => undefined);
  say(`${words.copied}: ${address}`);
};
for (const [id, take] of /** @type {[string, (file: File) => Promise<void>][]} */ ([
  ["file-input", playFile],
  ["portrait-upload", addPortrait],
])) {
  const input = /** @type {HTMLInputElement} */ (byId(id));
  const zone = /** @type {HTMLElement} */ (input.parentElement);
  input.onchange = () => {
    if (input.files?.[0]) take(input.files[0]);
    input.value = "";
  };
  zone.ondragover = (event) => {
    event.preventDefault();
    zone.classList.add("over");
  };
  zone.ondragleave = () => zone.classList.remove("over");
  zone.ondrop = (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer?.files[0]) take(event.dataTransfer.files[0]);
  };
}
const theme = localStorage.getItem("theme");
if (theme) document.documentElement.dataset.theme = theme;
render();

// Nothing but the avatar: watches one session over WHEP and comes back for ever. What the address
// may ask for is in lib/obs_options.js and docs/obs.md.

import { CaptionLine } from "/static/lib/captions.js";
import { drawCutout } from "/static/lib/cutout.js";
import { obsOptions, placed } from "/static/lib/obs_options.js";
import { AvatarConnection } from "/static/lib/rtc.js";
import { Signalling, pauseMs } from "/static/lib/signalling.js";

const video = /** @type {HTMLVideoElement} */ (document.querySelector("#avatar"));
const canvas = /** @type {HTMLCanvasElement} */ (document.querySelector("#cutout"));
const stage = /** @type {HTMLElement} */ (document.querySelector("#stage"));
const caption = new CaptionLine(/** @type {HTMLElement} */ (document.querySelector("#caption")));
const options = obsOptions(location.search);
const STALL_MS = 4000;

/** @param {"connecting" | "live"} state */
function show(state) {
  document.body.dataset.state = state;
}

function place() {
  const { side, left, top } = placed(options, innerWidth, innerHeight);
  const [x, y, width, height] = options.crop.map((share) => 100 * share);
  Object.assign(stage.style, {
    width: `${side}px`,
    height: `${side}px`,
    left: `${left}px`,
    top: `${top}px`,
    clipPath: `inset(${y}% ${100 - x - width}% ${100 - y - height}% ${x}%)`,
  });
}

let watched = options.session;

/** The session of the address, or the newest one on the server. */
async function session() {
  if (options.session) return options.session;
  const listing = await (await fetch("/api/sessions")).json();
  if (!listing.length) throw new Error("no session yet");
  watched = listing[listing.length - 1].id;
  return watched;
}

/** Sound needs no gesture in OBS; where it does, a silent picture is better than none. */
async function play() {
  try {
    await video.play();
  } catch {
    video.muted = true;
    await video.play().catch(() => undefined);
  }
}

/** @param {RTCPeerConnection} peer */
function holdBack(peer) {
  for (const receiver of peer.getReceivers()) {
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = options.latencyMs;
  }
}

/** Resolves when the connection is lost or the picture stands still. */
async function watch() {
  const connection = new AvatarConnection(video, [], false);
  try {
    const path = `/api/sessions/${encodeURIComponent(await session())}/whep?${options.query}`;
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: await connection.offer(),
    });
    if (!answer.ok) throw new Error(`refused: ${answer.status}`);
    await connection.accept(await answer.text());
    if (options.latencyMs !== null) holdBack(connection.peer);
    await play();
    let frames = -1;
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, STALL_MS));
      const seen = video.getVideoPlaybackQuality().totalVideoFrames;
      if (seen === frames) return;
      if (seen > 0) {
        attempt = 0;
        show("live");
      }
      frames = seen;
    }
  } finally {
    connection.close();
  }
}

/** @param {import("/static/lib/signalling.js").Message} message */
function receive(message) {
  if (message.type === "caption") caption.show(/** @type {any} */ (message));
}

document.body.dataset.alpha = String(options.alpha);
document.body.style.background = options.background;
video.muted = options.mute;
place();
addEventListener("resize", place);
if (options.alpha) drawCutout(video, canvas, options.hard);
if (options.captions) {
  new Signalling(() => ({ type: "hello", role: "viewer", session: watched }), receive, () => {});
}
let attempt = 0;
for (;;) {
  await watch().catch(() => undefined);
  show("connecting");
  await new Promise((resolve) => setTimeout(resolve, pauseMs(attempt++)));
}

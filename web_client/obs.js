// Nothing but the avatar: watches one session over WHEP and comes back for ever.

import { AvatarConnection } from "/static/lib/rtc.js";
import { pauseMs } from "/static/lib/signalling.js";

const video = /** @type {HTMLVideoElement} */ (document.querySelector("#avatar"));
const parameters = new URLSearchParams(location.search);
const wanted = parameters.get("session");
const STALL_MS = 4000;

/** @param {"connecting" | "live"} state */
function show(state) {
  document.body.dataset.state = state;
}

/** The session of the address, or the newest one on the server. */
async function session() {
  if (wanted) return wanted;
  const listing = await (await fetch("/api/sessions")).json();
  if (!listing.length) throw new Error("no session yet");
  return listing[listing.length - 1].id;
}

/** This viewer's own lip-sync offset: `?offset=120`, or the one a `?profile=` has for OBS. */
function offset() {
  const query = new URLSearchParams({ kind: "obs" });
  const offset = parameters.get("offset");
  const profile = parameters.get("profile");
  if (offset) query.set("offset_ms", offset);
  if (profile) query.set("profile", profile);
  return query;
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

/** Resolves when the connection is lost or the picture stands still. */
async function watch() {
  const connection = new AvatarConnection(video, [], false);
  try {
    const answer = await fetch(`/api/sessions/${encodeURIComponent(await session())}/whep?${offset()}`, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: await connection.offer(),
    });
    if (!answer.ok) throw new Error(`refused: ${answer.status}`);
    await connection.accept(await answer.text());
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

let attempt = 0;
for (;;) {
  await watch().catch(() => undefined);
  show("connecting");
  await new Promise((resolve) => setTimeout(resolve, pauseMs(attempt++)));
}

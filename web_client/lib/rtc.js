// The peer connection: picture and voice in, the microphone out when there is one.

// Host candidates come within milliseconds of one another, those of servers take a round trip.
const QUIET_MS = 100;
const QUIET_WITH_SERVERS_MS = 1000;
const GATHER_MS = 2000;

/**
 * An offer with its candidates in it: all of them, or those that came before a pause.
 * @param {RTCPeerConnection} peer
 */
export async function completeOffer(peer) {
  const servers = peer.getConfiguration().iceServers ?? [];
  const quietMs = servers.length ? QUIET_WITH_SERVERS_MS : QUIET_MS;
  const gathered = new Promise((resolve) => {
    let timer = setTimeout(resolve, GATHER_MS);
    peer.addEventListener("icecandidate", ({ candidate }) => {
      clearTimeout(timer);
      timer = setTimeout(resolve, candidate ? quietMs : 0);
    });
  });
  await peer.setLocalDescription(await peer.createOffer());
  await gathered;
  return /** @type {RTCSessionDescription} */ (peer.localDescription).sdp;
}

/**
 * "stun:host" or "turn:user:password@host" as the browser wants it.
 * @param {string} text
 * @returns {RTCIceServer}
 */
export function iceServer(text) {
  const match = /^turn:([^:]*):([^@]*)@(.*)$/.exec(text);
  if (!match) return { urls: text };
  return { urls: `turn:${match[3]}`, username: match[1], credential: match[2] };
}

/** One connection to the avatar, shown in `video`. Made again after each loss. */
export class AvatarConnection {
  /**
   * @param {HTMLVideoElement} video
   * @param {string[]} iceServers
   * @param {boolean} withMicrophone offer a place for a microphone
   */
  constructor(video, iceServers, withMicrophone) {
    this.peer = new RTCPeerConnection({ iceServers: iceServers.map(iceServer) });
    this.audio = this.peer.addTransceiver("audio", {
      direction: withMicrophone ? "sendrecv" : "recvonly",
    });
    this.peer.addTransceiver("video", { direction: "recvonly" });
    const stream = new MediaStream();
    this.peer.ontrack = (event) => {
      stream.addTrack(event.track);
      video.srcObject = stream;
    };
  }

  offer() {
    return completeOffer(this.peer);
  }

  /** @param {string} sdp */
  async accept(sdp) {
    await this.peer.setRemoteDescription({ type: "answer", sdp });
  }

  /** @param {MediaStreamTrack | null} track */
  async setMicrophone(track) {
    await this.audio.sender.replaceTrack(track);
  }

  /** What the browser measured: round trip, jitter, dropped frames. */
  async figures() {
    /** @type {Record<string, number>} */
    const figures = {};
    (await this.peer.getStats()).forEach((report) => {
      if (report.type === "candidate-pair" && report.nominated) {
        figures.rtt_ms = Math.round(1000 * (report.currentRoundTripTime ?? 0));
      }
      if (report.type === "inbound-rtp" && report.kind === "video") {
        figures.received_fps = report.framesPerSecond ?? 0;
        figures.frames_dropped = report.framesDropped ?? 0;
        figures.freezes = report.freezeCount ?? 0;
        figures.jitter_ms = Math.round(1000 * (report.jitter ?? 0));
      }
    });
    return figures;
  }

  close() {
    this.peer.close();
  }
}

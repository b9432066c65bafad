// The WebSocket to the server: hello, a ping a second, and reconnection with a growing pause.

const PING_MS = 1000;
const SILENCE_MS = 5000;
const MAX_PAUSE_MS = 8000;

/** @typedef {{ type: string, [field: string]: any }} Message */

/**
 * Pause before the next attempt: 0.25 s, doubling to 8 s.
 * @param {number} attempt counted from 0
 */
export function pauseMs(attempt) {
  return Math.min(MAX_PAUSE_MS, 250 * 2 ** attempt);
}

/** Calls `onMessage` for each message and `onState` with "open" or "closed". */
export class Signalling {
  /**
   * @param {() => Message} hello made anew for each connection
   * @param {(message: Message) => void} onMessage
   * @param {(state: "open" | "closed") => void} onState
   * @param {string} origin of the server; the page's own unless told otherwise
   */
  constructor(hello, onMessage, onState, origin = location.origin) {
    this.address = `${origin.replace(/^http/, "ws")}/ws`;
    this.hello = hello;
    this.onMessage = onMessage;
    this.onState = onState;
    this.attempt = 0;
    this.ended = false;
    this.heard = 0;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.timer = setInterval(() => this.beat(), PING_MS);
    this.connect();
  }

  connect() {
    const socket = new WebSocket(this.address, "avatar.v1");
    this.socket = socket;
    socket.onopen = () => {
      this.heard = performance.now();
      socket.send(JSON.stringify(this.hello()));
    };
    socket.onmessage = (event) => {
      this.heard = performance.now();
      const message = /** @type {Message} */ (JSON.parse(event.data));
      if (message.type === "welcome") {
        this.attempt = 0;
        this.onState("open");
      }
      this.onMessage(message);
    };
    socket.onclose = () => this.lost(socket);
  }

  /** @param {WebSocket} socket */
  lost(socket) {
    if (socket !== this.socket) return;
    this.socket = null;
    this.onState("closed");
    if (!this.ended) setTimeout(() => this.connect(), pauseMs(this.attempt++));
  }

  /** @param {Message} message */
  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  beat() {
    const socket = this.socket;
    if (!socket) return;
    if (socket.readyState === WebSocket.OPEN && performance.now() - this.heard > SILENCE_MS) {
      socket.close();
      this.lost(socket);
    } else {
      this.send({ type: "ping", t: Math.round(performance.now()) });
    }
  }

  /** Do not come back. */
  end() {
    this.ended = true;
    clearInterval(this.timer);
    this.socket?.close();
  }
}

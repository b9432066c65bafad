// <live-avatar>: the avatar on any page. See docs/embed.md.

import { CaptionLine } from "/static/lib/captions.js";
import { speakerIcon } from "/static/lib/icons.js";
import { AvatarConnection } from "/static/lib/rtc.js";
import { Signalling, pauseMs } from "/static/lib/signalling.js";

const HERE = new URL(import.meta.url).origin;
const STALL_MS = 4000;
const WELCOME_MS = 5000;
const STYLE = `
  :host { display: inline-block; position: relative; width: 320px; aspect-ratio: 1; overflow: hidden; }
  :host([hidden]) { display: none; }
  video, canvas { width: 100%; height: 100%; object-fit: contain; display: block; }
  canvas { position: absolute; inset: 0; }
  [hidden] { display: none !important; }
  .veiled { opacity: 0; }
  button { position: absolute; right: 3%; bottom: 3%; width: 40px; height: 40px; padding: 9px;
    border: 0; border-radius: 50%; background: rgb(20 20 30 / 62%); color: #fff; cursor: pointer; }
  button:focus-visible { outline: 3px solid #8f8fff; outline-offset: 2px; }
  p { position: absolute; inset: auto 8% 4%; margin: 0; text-align: center; color: #fff;
    font: 600 16px/1.4 system-ui, sans-serif; text-shadow: 0 1px 4px #000, 0 0 2px #000; }`;

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

class LiveAvatar extends HTMLElement {
  static observedAttributes = ["src", "session", "muted", "controls", "transparent"];

  constructor() {
    super();
    const shadow = this.attachShadow({ mode: "open" });
    const style = new CSSStyleSheet();
    style.replaceSync(STYLE);
    shadow.adoptedStyleSheets = [style];
    this.video = document.createElement("video");
    this.video.playsInline = true;
    this.canvas = document.createElement("canvas");
    this.button = document.createElement("button");
    this.button.type = "button";
    this.caption = document.createElement("p");
    this.caption.setAttribute("aria-live", "polite");
    this.button.onclick = () => this.mute(!this.video.muted);
    shadow.append(this.video, this.canvas, this.caption, this.button);
    /** Who has the session's token may also command the avatar: `say`, `interrupt`. */
    this.token = "";
    this.speaking = false;
    this.ident = "";
    /** Raised whenever what runs is no longer wanted. */
    this.run = 0;
    this.captionLine = new CaptionLine(this.caption);
    /** @type {Signalling | null} */
    this.signalling = null;
    /** @type {string[]} */
    this.iceServers = [];
  }

  connectedCallback() {
    this.restart();
  }

  disconnectedCallback() {
    this.run++;
    this.signalling?.end();
  }

  /**
   * @param {string} name
   * @param {string | null} before
   * @param {string | null} now
   */
  attributeChangedCallback(name, before, now) {
    if (before === now || !this.isConnected) return;
    if (name === "muted" || name === "controls") this.show();
    else this.restart();
  }

  get server() {
    return new URL(this.getAttribute("src") || HERE, location.href).origin;
  }

  /** Begin to play; with sound if the browser allows it, else without. */
  async play() {
    try {
      await this.video.play();
    } catch {
      this.video.muted = true;
      this.show();
      await this.video.play().catch(() => undefined);
    }
  }

  /** @param {boolean} [on] */
  mute(on = true) {
    this.video.muted = on;
    this.toggleAttribute("muted", on);
  }

  /**
   * Speak a text; needs `token`.
   * @param {string} text
   * @param {string} [voice]
   */
  say(text, voice) {
    return this.command("say", { text, ...(voice && { voice }) });
  }

  /** Silence at once; needs `token`. */
  interrupt() {
    return this.command("interrupt", {});
  }

  /**
   * Any command of docs/protocol.md; needs `token`. Answers the session's state.
   * @param {string} type
   * @param {Record<string, unknown>} fields
   */
  async command(type, fields) {
    const path = `/api/sessions/${encodeURIComponent(this.ident)}/commands/${type}`;
    const answer = await fetch(this.server + path, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${this.token}` },
      body: JSON.stringify(fields),
    });
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.error?.message ?? `refused: ${answer.status}`);
    return body;
  }

  restart() {
    const run = ++this.run;
    this.video.muted = this.hasAttribute("muted");
    this.show();
    this.watchForEver(run).catch((error) => this.tell("error", { message: String(error) }));
  }

  show() {
    if (this.hasAttribute("muted")) this.video.muted = true;
    this.button.hidden = !this.hasAttribute("controls");
    this.button.setAttribute("aria-label", "Sound");
    this.button.setAttribute("aria-pressed", String(!this.video.muted));
    this.button.replaceChildren(speakerIcon(!this.video.muted));
    this.canvas.hidden = !this.hasAttribute("transparent");
    this.video.classList.toggle("veiled", this.hasAttribute("transparent"));
  }

  /** @param {number} run */
  async watchForEver(run) {
    if (this.hasAttribute("transparent") && !this.canvas.dataset.drawnWith) {
      const { drawCutout } = await import("/static/lib/cutout.js");
      drawCutout(this.video, this.canvas, false);
    }
    for (let attempt = 0; run === this.run; attempt++) {
      try {
        if (await this.watch(run)) attempt = 0;
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        if (run === this.run) this.tell("error", { message });
      }
      if (run === this.run) await pause(pauseMs(attempt));
    }
  }

  /**
   * Until the picture stands still or is no longer wanted. Whether it ever moved.
   * @param {number} run
   */
  async watch(run) {
    this.ident = this.getAttribute("session") || (await this.newest());
    await this.listen();
    const connection = new AvatarConnection(this.video, this.iceServers, false);
    let seen = 0;
    try {
      const query = new URLSearchParams();
      if (this.hasAttribute("transparent")) query.set("alpha", "true");
      for (const [attribute, name] of [["offset", "offset_ms"], ["profile", "profile"]]) {
        const value = this.getAttribute(attribute);
        if (value) query.set(name, value);
      }
      const path = `/api/sessions/${encodeURIComponent(this.ident)}/whep?${query}`;
      const answer = await fetch(this.server + path, {
        method: "POST",
        headers: { "Content-Type": "application/sdp" },
        body: await connection.offer(),
      });
      if (!answer.ok) throw new Error((await answer.json()).error?.message ?? "refused");
      await connection.accept(await answer.text());
      await this.play();
      for (let before = -1; run === this.run; before = seen) {
        await pause(before < 0 ? STALL_MS / 4 : STALL_MS);
        const first = !seen;
        seen = this.video.getVideoPlaybackQuality().totalVideoFrames;
        if (seen && first && run === this.run) this.tell("live", { session: this.ident });
        if (seen === before) break;
      }
    } finally {
      connection.close();
      this.signalling?.end();
    }
    return seen > 0;
  }

  async newest() {
    const listing = await (await fetch(`${this.server}/api/sessions`)).json();
    if (!listing.length) throw new Error("there is no session yet");
    return listing[listing.length - 1].id;
  }

  /** Hear of speech and captions, as a viewer. */
  listen() {
    this.signalling?.end();
    return new Promise((resolve) => {
      setTimeout(resolve, WELCOME_MS);
      this.signalling = new Signalling(
        () => ({ type: "hello", role: "viewer", session: this.ident }),
        (message) => {
          if (message.type === "welcome") {
            this.iceServers = message.ice_servers;
            resolve(undefined);
          } else this.receive(message);
        },
        () => undefined,
        this.server,
      );
    });
  }

  /** @param {import("/static/lib/signalling.js").Message} message */
  receive(message) {
    if (message.type === "state" && message.speaking !== this.speaking) {
      this.speaking = message.speaking;
      this.tell("speaking", { speaking: message.speaking });
    } else if (message.type === "caption") {
      this.tell("caption", message);
      if (this.hasAttribute("captions")) this.captionLine.show(/** @type {any} */ (message));
    } else if (message.type === "error") {
      this.tell("error", { code: message.code, message: message.message });
    }
  }

  /**
   * @param {string} name
   * @param {object} detail
   */
  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

customElements.define("live-avatar", LiveAvatar);

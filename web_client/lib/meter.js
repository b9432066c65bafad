// Measures picture against sound, as this browser shows and plays them: the testcard's flash in
// the pixels, its beep in the samples. Nothing is filmed or recorded.

/** The rhythm of a calibration session's beeps: the first comes after half a period. */
const PERIOD_MS = 1513;
const FRAME_MS = 40;
const BITS = 32;
const LIT = 160;
/** A flash and a beep further apart than this do not belong together. */
const MATCH_MS = PERIOD_MS / 2;
const SIZE = 128;

/** @typedef {(skewMs: number) => void} Listener */

/**
 * The middle value; NaN of nothing.
 * @param {number[]} values
 */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  if (!sorted.length) return NaN;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/**
 * How far from the beginning of a picture of this number a beep begins (before it, where the first
 * of the two pictures that flash was skipped); half a picture where its rhythm is unknown.
 * @param {number | null} pts
 */
export function phaseMs(pts) {
  if (pts === null) return FRAME_MS / 2;
  const startMs = pts * FRAME_MS;
  const beep = Math.round(startMs / PERIOD_MS - 0.5);
  const phase = (beep + 0.5) * PERIOD_MS - startMs;
  return Math.abs(phase) < FRAME_MS + 6 ? phase : FRAME_MS / 2;
}

/**
 * The number that a testcard's upper eighth shows; null where its checksum fails.
 * @param {(x0: number, y0: number, x1: number, y1: number) => number} mean brightness of a part
 */
export function readNumber(mean) {
  const step = SIZE / BITS;
  let value = 0n;
  for (let bit = 0; bit < BITS; bit++) {
    const lit = mean(step * bit + 1, SIZE / 32, step * bit + 3, (SIZE * 3) / 32) > 128;
    value = (value << 1n) | BigInt(lit);
  }
  const pts = Number(value >> 8n);
  const sum = (pts & 255) + ((pts >> 8) & 255) + ((pts >> 16) & 255);
  return (~sum & 255) === Number(value & 255n) ? pts : null;
}

/** Watches a video and its stream once started; tells the skew of each beep (negative: the
 * picture is early). */
export class SkewMeter {
  /**
   * @param {HTMLVideoElement} video
   * @param {Listener} onSkew
   */
  constructor(video, onSkew) {
    this.video = video;
    this.onSkew = onSkew;
    this.tapMs = 0;
    /** @type {number[]} */
    this.flashes = [];
    this.wasLit = true;
    this.stopped = false;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = SIZE;
    this.pen = /** @type {CanvasRenderingContext2D} */ (
      canvas.getContext("2d", { willReadFrequently: true })
    );
  }

  /** Needs a user's gesture before it, as all sound on a page does. */
  async start() {
    this.context = new AudioContext({ latencyHint: "interactive" });
    await this.context.audioWorklet.addModule("/static/lib/onsets.js");
    await this.context.resume();
    this.tapMs = await this.measureTap(this.context);
    this.hear(this.context);
    this.video.requestVideoFrameCallback((now, frame) => this.look(frame));
  }

  stop() {
    this.stopped = true;
    return this.context?.close();
  }

  /**
   * What a stream loses on its way into WebAudio: a click sent into a stream of our own and heard
   * again.
   * @param {AudioContext} context
   */
  async measureTap(context) {
    const sender = new MediaStreamAudioDestinationNode(context);
    const node = new AudioWorkletNode(context, "onsets");
    const receiver = context.createMediaStreamSource(sender.stream);
    receiver.connect(node);
    /** @type {number[]} */
    const delays = [];
    for (let attempt = 0; attempt < 5; attempt++) {
      const click = new OscillatorNode(context, { frequency: 1000 });
      const at = context.currentTime + 0.3;
      click.connect(sender);
      click.start(at);
      click.stop(at + 0.06);
      const heard = new Promise((resolve) => {
        node.port.onmessage = ({ data }) => resolve(data);
        setTimeout(() => resolve(NaN), 1500);
      });
      const delay = 1000 * ((await heard) - at);
      if (delay >= 0 && delay < 300) delays.push(delay);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    receiver.disconnect();
    return delays.length ? median(delays) : 0;
  }

  /** @param {AudioContext} context */
  hear(context) {
    const node = new AudioWorkletNode(context, "onsets");
    const stream = /** @type {MediaStream} */ (this.video.srcObject);
    context.createMediaStreamSource(stream).connect(node);
    node.port.onmessage = ({ data }) => {
      const now = context.getOutputTimestamp();
      const contextTime = now.contextTime ?? 0;
      const heard = (now.performanceTime ?? 0) + 1000 * (data - contextTime) - this.tapMs;
      // Its flash may come half a second after it.
      setTimeout(() => this.match(heard), MATCH_MS + 50);
    };
  }

  /** @param {VideoFrameCallbackMetadata} frame */
  look(frame) {
    if (this.stopped) return;
    this.pen.drawImage(this.video, 0, 0, SIZE, SIZE);
    const pixels = this.pen.getImageData(0, 0, SIZE, SIZE).data;
    /** @type {(x0: number, y0: number, x1: number, y1: number) => number} */
    const mean = (x0, y0, x1, y1) => {
      let sum = 0;
      for (let y = y0; y < y1; y++) {
        for (let x = x0; x < x1; x++) sum += pixels[4 * (SIZE * y + x) + 1];
      }
      return sum / ((x1 - x0) * (y1 - y0));
    };
    const lit = mean(48, 48, 80, 80) > LIT;
    if (lit && !this.wasLit) {
      this.flashes.push(frame.expectedDisplayTime + phaseMs(readNumber(mean)));
      this.flashes = this.flashes.slice(-10);
    }
    this.wasLit = lit;
    this.video.requestVideoFrameCallback((now, next) => this.look(next));
  }

  /** @param {number} heard */
  match(heard) {
    if (this.stopped) return;
    const skews = this.flashes.map((flash) => flash - heard);
    const nearest = skews.sort((a, b) => Math.abs(a) - Math.abs(b))[0];
    if (nearest !== undefined && Math.abs(nearest) < MATCH_MS) this.onSkew(nearest);
  }
}

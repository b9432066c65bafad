// Measures a page's avatar: when sounds begin (microphone and playback) and what pictures show.
// Installed before the page's own scripts; results lie in window.__probe.
(() => {
  const probe = { micOnsets: [], soundOnsets: [], frames: [], levels: [], ready: false };
  window.__probe = probe;
  const getUserMedia = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
  if (getUserMedia) {
    navigator.mediaDevices.getUserMedia = async (constraints) => {
      const stream = await getUserMedia(constraints);
      probe.mic = stream;
      return stream;
    };
  }
  const Peer = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Peer {
    constructor(...settings) {
      super(...settings);
      window.__peer = this;
    }
  };
  const WORKLET = `
    class Onsets extends AudioWorkletProcessor {
      constructor() { super(); this.quiet = 1; this.sum = 0; this.count = 0; }
      process(inputs) {
        const samples = inputs[0][0];
        if (!samples) return true;
        for (let i = 0; i < samples.length; i++) {
          const level = Math.abs(samples[i]);
          this.sum += level * level;
          if (level > 0.03) {
            if (this.quiet > 0.2) this.port.postMessage({ onset: currentTime + i / sampleRate });
            this.quiet = 0;
          } else this.quiet += 1 / sampleRate;
        }
        this.count += samples.length;
        if (this.count >= 480) {
          this.port.postMessage({ time: currentTime, rms: Math.sqrt(this.sum / this.count) });
          this.sum = this.count = 0;
        }
        return true;
      }
    }
    registerProcessor("onsets", Onsets);`;
  /** Performance time (ms) at which a context time is heard. */
  const heard = (context, time) => {
    const now = context.getOutputTimestamp();
    return now.performanceTime + 1000 * (time - now.contextTime);
  };
  const listen = (context, stream, onsets, levels) => {
    const node = new AudioWorkletNode(context, "onsets");
    context.createMediaStreamSource(stream).connect(node);
    node.port.onmessage = ({ data }) => {
      if (data.onset !== undefined) onsets.push([data.onset, heard(context, data.onset)]);
      else levels?.push([performance.now(), data.rms]);
    };
  };
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 128;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const look = (video) => {
    const step = (now, metadata) => {
      // Of a video with a matte, the upper half is the picture.
      const { videoWidth: width, videoHeight: whole } = video;
      pen.drawImage(video, 0, 0, width, whole >= 2 * width ? whole / 2 : whole, 0, 0, 128, 128);
      const pixels = pen.getImageData(0, 0, 128, 128).data;
      const mean = (x0, y0, x1, y1) => {
        let sum = 0;
        for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) {
          const at = 4 * (128 * y + x);
          sum += pixels[at] + pixels[at + 1] + pixels[at + 2];
        }
        return sum / (3 * (x1 - x0) * (y1 - y0));
      };
      let value = 0n;
      for (let bit = 0; bit < 32; bit++) {
        value = (value << 1n) | BigInt(mean(4 * bit + 1, 4, 4 * bit + 3, 12) > 128);
      }
      const pts = Number(value >> 8n);
      const sum = (pts & 255) + ((pts >> 8) & 255) + ((pts >> 16) & 255);
      probe.frames.push({
        time: metadata.expectedDisplayTime,
        pts: (~sum & 255) === Number(value & 255n) ? pts : null,
        flash: mean(48, 48, 80, 80) > 160,
        mouth: probe.region ? Array.from(pen.getImageData(...probe.region).data) : null,
      });
      if (probe.frames.length > 6000) probe.frames.shift();
      video.requestVideoFrameCallback(step);
    };
    video.requestVideoFrameCallback(step);
  };
  addEventListener("DOMContentLoaded", () => {
    document.querySelector("#avatar")?.requestVideoFrameCallback((now) => {
      probe.firstFrameMs = now; // since the navigation began
    });
  });
  /** Start measuring the playback of #avatar; returns when the sound is tapped. */
  probe.start = async () => {
    const video = document.querySelector("#avatar");
    look(video);
    probe.context = new AudioContext({ latencyHint: "interactive" });
    const url = URL.createObjectURL(new Blob([WORKLET], { type: "text/javascript" }));
    await probe.context.audioWorklet.addModule(url);
    await probe.context.resume();
    listen(probe.context, video.srcObject, probe.soundOnsets, probe.levels);
    probe.ready = true;
  };
  probe.startMic = () => listen(probe.context, probe.mic, probe.micOnsets, null);
})();

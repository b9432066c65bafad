// An AudioWorklet that tells when a sound begins after a silence, to the sample.

const LEVEL = 0.03;
const QUIET_S = 0.2;

/** The worklet's own globals, which the page's types do not know. */
const scope = /** @type {any} */ (globalThis);

class Onsets extends scope.AudioWorkletProcessor {
  constructor() {
    super();
    this.quiet = QUIET_S;
  }

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    const samples = inputs[0]?.[0] ?? [];
    for (let i = 0; i < samples.length; i++) {
      if (Math.abs(samples[i]) > LEVEL) {
        if (this.quiet >= QUIET_S) {
          this.port.postMessage(scope.currentTime + i / scope.sampleRate);
        }
        this.quiet = 0;
      } else {
        this.quiet += 1 / scope.sampleRate;
      }
    }
    return true;
  }
}

scope.registerProcessor("onsets", Onsets);

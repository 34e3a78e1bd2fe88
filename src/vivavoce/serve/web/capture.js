// Runs on the audio thread: float samples to PCM16 chunks of 480 samples (20 ms at 24 kHz), with their level.

class Capture extends AudioWorkletProcessor {
  #chunk = new Int16Array(480);
  #used = 0;
  #power = 0;

  process([input]) {
    for (const sample of input[0] ?? []) {
      const clipped = Math.max(-1, Math.min(1, sample));
      this.#chunk[this.#used++] = clipped * 32767;
      this.#power += clipped * clipped;
      if (this.#used === this.#chunk.length) {
        this.port.postMessage({ pcm: this.#chunk.buffer, levelDb: 10 * Math.log10(this.#power / this.#used + 1e-9) }, [this.#chunk.buffer]);
        this.#chunk = new Int16Array(480);
        this.#used = 0;
        this.#power = 0;
      }
    }
    return true;
  }
}
registerProcessor("capture", Capture);

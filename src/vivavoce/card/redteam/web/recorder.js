// A recording of the microphone: 16 kHz, one channel, at most a minute, as the bytes of a 16-bit wav.
const RATE_HZ = 16000;
const MAX_SAMPLES = 60 * RATE_HZ;

export class Recorder {
  #context; #stream; #blocks = []; #count = 0;

  // Starts at once; `onSecond` is told how many whole seconds there are, `onFull` is called at a minute. Throws where the
  // microphone is refused or missing.
  static async start(onSecond, onFull) {
    const recorder = new Recorder();
    recorder.#stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
    try {
      recorder.#context = new AudioContext({ sampleRate: RATE_HZ });
      await recorder.#context.audioWorklet.addModule("/web/capture.js");
      const node = new AudioWorkletNode(recorder.#context, "capture", { numberOfOutputs: 0 });
      node.port.onmessage = event => recorder.#take(event.data, onSecond, onFull);
      recorder.#context.createMediaStreamSource(recorder.#stream).connect(node);
    } catch (error) {
      await recorder.stop();
      throw error;
    }
    return recorder;
  }

  #take(block, onSecond, onFull) {
    if (this.#count >= MAX_SAMPLES) return;
    const before = Math.floor(this.#count / RATE_HZ);
    this.#blocks.push(block);
    this.#count += block.length;
    const after = Math.floor(this.#count / RATE_HZ);
    if (after > before) onSecond(after);
    if (this.#count >= MAX_SAMPLES) onFull();
  }

  // Ends the recording and gives its wav.
  async stop() {
    this.#stream.getTracks().forEach(track => track.stop());
    const rate = this.#context?.sampleRate ?? RATE_HZ;
    await this.#context?.close();
    const samples = new Float32Array(this.#count);
    let at = 0;
    for (const block of this.#blocks) { samples.set(block, at); at += block.length; }
    return encodeWav(samples, rate);
  }
}

function encodeWav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const put = (at, text) => [...text].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  put(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); put(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  put(36, "data"); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, i) => view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, sample)) * 32767, true));
  return new Uint8Array(view.buffer);
}

export function toBase64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

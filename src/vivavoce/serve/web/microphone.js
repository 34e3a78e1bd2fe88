// The microphone as PCM16 at 24 kHz in 20 ms chunks, its level, and words for every way it can be silent.

const RATE_HZ = 24000;

/** Why there is no sound, in words; `error` is what getUserMedia threw. */
export function explainMicrophone(error) {
  if (!window.isSecureContext) return "Microphone is off: browsers open it only on https or on 127.0.0.1.";
  switch (error?.name) {
    case "NotAllowedError": return "Microphone is blocked. Allow it beside the address bar, then press Talk again.";
    case "NotFoundError": return "No microphone was found. Plug one in, then press Talk again; you can type meanwhile.";
    case "NotReadableError": return "Another program is using the microphone. Close it, then press Talk again.";
    default: return `The microphone could not be opened: ${error?.message ?? error}`;
  }
}

export class Microphone extends EventTarget {
  #context; #stream; #node;

  /** Open the device; throws what getUserMedia throws, and then leaves nothing open. */
  async open() {
    try {
      await this.#open();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  async #open() {
    if (!navigator.mediaDevices?.getUserMedia) throw new DOMException("this browser gives no microphone here", "NotSupportedError");
    this.#stream = await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: true, noiseSuppression: false, autoGainControl: true },
    });
    this.#context = new AudioContext({ sampleRate: RATE_HZ, latencyHint: "interactive" });
    await this.#context.audioWorklet.addModule("/static/capture.js");
    this.#node = new AudioWorkletNode(this.#context, "capture", { numberOfOutputs: 0 });
    this.#node.port.onmessage = ({ data }) => this.dispatchEvent(new CustomEvent("chunk", { detail: data }));
    this.#context.createMediaStreamSource(this.#stream).connect(this.#node);
    await this.#context.resume();
    const [track] = this.#stream.getAudioTracks();
    for (const name of ["mute", "unmute", "ended"]) track.addEventListener(name, () => this.dispatchEvent(new Event(name)));
  }

  /** Whether the system has muted it. */
  get isMuted() { return this.#stream?.getAudioTracks()[0]?.muted ?? false; }

  /** No event follows. */
  close() {
    if (this.#node) this.#node.port.onmessage = null;
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#context?.close();
  }
}

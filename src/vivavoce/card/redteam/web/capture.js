// Runs on the audio thread: hands over the first channel, a block of 128 samples at a time.
class Capture extends AudioWorkletProcessor {
  process(inputs) {
    const samples = inputs[0][0];
    if (samples) this.port.postMessage(samples.slice());
    return true;
  }
}
registerProcessor("capture", Capture);

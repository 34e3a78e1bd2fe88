// Plays PCM16 deltas one after the other, knows how much of each item was heard, and counts the gaps.

const RATE_HZ = 24000;
const FIRST_LEAD_S = 0.06; // chosen: what a browser needs to start a buffer on time
const MORE_LEAD_S = 0.04; // added after each gap: a slow machine or network gets a longer cushion
const MOST_LEAD_S = 0.22;

export class Player {
  #context; #playing = []; #endS = 0; #item = null; #startS = 0; #isOver = true; #leadS = FIRST_LEAD_S;
  gaps = 0;
  receivedS = 0;

  /** Browsers let sound out only after a gesture; call this from one. */
  unlock() {
    this.#context ??= new AudioContext({ sampleRate: RATE_HZ, latencyHint: "interactive" });
    this.#context.resume().catch(() => {});
  }

  get isPlaying() { return this.#context !== undefined && this.#endS > this.#context.currentTime; }

  /** Queue one delta (ArrayBuffer of PCM16) of an item. */
  play(itemId, buffer) {
    const pcm = new Int16Array(buffer);
    this.receivedS += pcm.length / RATE_HZ;
    if (!this.#context) return;
    const now = this.#context.currentTime;
    if (this.#item !== itemId) {
      this.#item = itemId;
      this.#startS = Math.max(now + this.#leadS, this.#endS);
      this.#endS = this.#startS;
      this.#isOver = false;
    } else if (this.#endS < now && !this.#isOver) {
      this.gaps += 1;
      this.#leadS = Math.min(MOST_LEAD_S, this.#leadS + MORE_LEAD_S);
      this.#startS += now + this.#leadS - this.#endS;
      this.#endS = now + this.#leadS;
    }
    const samples = this.#context.createBuffer(1, pcm.length, RATE_HZ);
    samples.getChannelData(0).set(Float32Array.from(pcm, (value) => value / 32768));
    const source = this.#context.createBufferSource();
    source.buffer = samples;
    source.connect(this.#context.destination);
    source.start(this.#endS);
    this.#endS += samples.duration;
    this.#playing.push(source);
    source.onended = () => { this.#playing = this.#playing.filter((other) => other !== source); };
  }

  /** The item is complete: silence after it is no gap. */
  finish(itemId) { if (itemId === this.#item) this.#isOver = true; }

  /** Stop at once; returns {itemId, playedMs} of what was cut, or null if all of it had been heard. */
  stop() {
    if (!this.isPlaying) return null;
    const playedMs = Math.max(0, Math.round((this.#context.currentTime - this.#startS) * 1000));
    for (const source of this.#playing) source.stop();
    this.#playing = [];
    this.#endS = this.#context.currentTime;
    const cut = { itemId: this.#item, playedMs };
    this.#item = null;
    return cut;
  }
}

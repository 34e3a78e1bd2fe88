// Keeps the draft: in this browser at once, on the server a moment later, and again until the server says it has it.

const WAIT_MS = 700, RETRY_MS = 4000, BEAT_MS = 15000;

export class Saver {
  // data: {id, lock, csrf, version}; read() gives the body; adopt(body) takes a merged one; show(state, words)
  constructor(data, { read, adopt, show }) {
    Object.assign(this, { data, read, adopt, show, version: data.version, timer: 0, running: null, isDirty: false, isDead: false });
    this.key = `viva-study:${data.id}`;
    for (const kind of ["keydown", "pointerdown", "pointermove", "wheel", "scroll"])
      document.addEventListener(kind, () => this.#beat(), { passive: true, capture: true });
    this.beatAt = Date.now();
    addEventListener("beforeunload", (event) => this.isDirty && !this.isDead && event.preventDefault());
    addEventListener("online", () => this.isDirty && this.flush());
    document.addEventListener("visibilitychange", () => document.hidden && this.isDirty && this.flush());
  }

  // what an earlier page could not bring to the server
  backup() {
    try {
      return JSON.parse(localStorage.getItem(this.key));
    } catch {
      return null;
    }
  }

  changed() {
    if (this.isDead) return;
    this.isDirty = true;
    this.#keep();
    this.show("pending", "Not saved yet");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), WAIT_MS);
  }

  async flush() {
    clearTimeout(this.timer);
    if (this.running) {
      await this.running;
      if (!this.isDirty) return;
    }
    this.running = this.#save();
    await this.running;
    this.running = null;
  }

  async #save() {
    this.isDirty = false;
    const answer = await this.post("save", { base_version: this.version, body: this.read() });
    if (!answer) return;
    this.version = answer.version;
    if (answer.body) this.adopt(answer.body);
    // what was typed while this was on its way is not saved yet, and the page goes on saying so
    if (this.isDirty) return this.#keep();
    this.#forget();
    this.show("saved", `Saved ${new Date().toLocaleTimeString()}`);
  }

  // POST to this assignment; the answer's JSON, or null after saying what went wrong
  async post(what, values) {
    let response;
    try {
      response = await fetch(`/api/item/${this.data.id}/${what}`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRF": this.data.csrf },
        body: JSON.stringify({ lock: this.data.lock, ...values }),
        signal: AbortSignal.timeout(20000),
      });
    } catch {
      return this.#retry("No connection. Your work is kept in this browser and will be saved when the server answers.");
    }
    if (response.ok) return response.json();
    if (response.status >= 500 || response.status === 429) return this.#retry("The server is busy. Your work is kept in this browser; trying again.");
    const answer = await response.json().catch(() => ({ reason: "unknown", message: `The server answered ${response.status}.` }));
    if (answer.reason === "bad_draft" || answer.reason === "no_reason") {
      this.isDirty = what === "save" || this.isDirty;
      this.show("refused", answer.message);
      return null;
    }
    this.isDead = true;
    if (answer.reason === "other_tab" || answer.reason === "finished") this.#forget();
    this.show(answer.reason, answer.message);
    return null;
  }

  #retry(words) {
    this.isDirty = true;
    this.show("offline", words);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), RETRY_MS);
    return null;
  }

  #keep() {
    try {
      localStorage.setItem(this.key, JSON.stringify({ version: this.version, body: this.read() }));
    } catch {
      // a full or forbidden storage: the server still gets the draft
    }
  }

  #forget() {
    try {
      localStorage.removeItem(this.key);
    } catch {
      // as above
    }
  }

  done() {
    this.isDead = true;
    this.isDirty = false;
    clearTimeout(this.timer);
    this.#forget();
  }

  #beat() {
    if (this.isDead || Date.now() - this.beatAt < BEAT_MS) return;
    this.beatAt = Date.now();
    fetch(`/api/item/${this.data.id}/beat`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRF": this.data.csrf },
      body: JSON.stringify({ lock: this.data.lock }),
    }).catch(() => {}); // a lost beat costs at most one interval of measured time
  }
}

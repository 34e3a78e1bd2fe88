// The conversation on the page: one entry a turn, found by item id, growing as its transcript comes.

export class Log {
  #list; #empty; #entries = new Map(); #isAtEnd = true; #top = 0;

  constructor(list, empty) {
    this.#list = list;
    this.#empty = empty;
    // who has scrolled up to read is left there; a picture that grows below scrolls nobody up
    list.addEventListener("scroll", () => {
      if (list.scrollTop + list.clientHeight > list.scrollHeight - 40) this.#isAtEnd = true;
      else if (list.scrollTop < this.#top - 40) this.#isAtEnd = false;
    });
  }

  get isEmpty() { return this.#list.children.length === 0; }

  /** The entry of an item, made if it is new. */
  entry(itemId, role) {
    const known = this.#entries.get(itemId);
    if (known) return known;
    const element = document.createElement("li");
    element.className = `turn ${role} live`;
    // a screen reader hears an entry once it is whole, not each piece of a word
    element.setAttribute("aria-busy", "true");
    element.dataset.role = role;
    const who = document.createElement("div");
    who.className = "who";
    const name = document.createElement("span");
    name.textContent = role === "user" ? "You" : "vivavoce";
    const note = document.createElement("span");
    note.className = "note";
    who.append(name, note);
    const text = document.createElement("p");
    element.append(who, text);
    this.#append(element);
    const entry = { element, text, note };
    this.#entries.set(itemId, entry);
    return entry;
  }

  addText(itemId, role, delta) { this.entry(itemId, role).text.textContent += delta; this.#follow(); }

  setText(itemId, role, text) {
    const { element, text: paragraph } = this.entry(itemId, role);
    paragraph.textContent = text || (role === "user" ? "(sound without words)" : "");
    this.#settle(element);
    this.#follow();
  }

  setNote(itemId, role, note) { this.entry(itemId, role).note.textContent = note; }

  finish(itemId) { const entry = this.#entries.get(itemId); if (entry) this.#settle(entry.element); }

  #settle(element) { element.classList.remove("live"); element.removeAttribute("aria-busy"); }

  /** Nothing grows any more. */
  finishAll() { for (const { element } of this.#entries.values()) this.#settle(element); }

  remove(itemId) { this.#entries.get(itemId)?.element.remove(); this.#entries.delete(itemId); }

  addPicture(itemId, role, url, { isDrawn = false, isFilm = false, label = "" } = {}) {
    const entry = this.entry(itemId, role);
    const picture = document.createElement(isFilm ? "video" : "img");
    picture.src = url;
    if (isFilm) { picture.controls = true; picture.setAttribute("aria-label", label); } else { picture.alt = label; }
    picture.classList.toggle("drawn", isDrawn);
    // until it is loaded its height is not known
    picture.addEventListener(isFilm ? "loadedmetadata" : "load", () => this.#follow());
    entry.element.append(picture);
    this.#settle(entry.element);
    if (!entry.text.textContent) entry.text.hidden = true;
    this.#follow();
  }

  /** What the user last said or wrote. */
  get lastRequest() { return [...this.#list.querySelectorAll(".turn.user p")].at(-1)?.textContent.trim() ?? ""; }

  /** A line of the page's own; the same one is not said twice before anything else has been. */
  notice(text) {
    for (let line = this.#list.lastElementChild; line?.classList.contains("notice"); line = line.previousElementSibling) {
      if (line.textContent === text) return;
    }
    const element = document.createElement("li");
    element.className = "turn notice";
    element.textContent = text;
    this.#append(element);
  }

  #append(element) { this.#empty.hidden = true; this.#list.append(element); this.#follow(); }

  #follow() {
    if (!this.#isAtEnd) return;
    this.#list.scrollTop = this.#list.scrollHeight;
    this.#top = this.#list.scrollTop;
  }
}

// A text whose words can be marked by mouse or keyboard. Offsets count characters (code points), as the database does,
// not the UTF-16 units of JavaScript strings. The text takes a caret, but no input.

export class MarkedText {
  constructor(element, text, onMark) {
    this.text = text;
    this.starts = [];
    for (let unit = 0; unit < text.length; unit += text.codePointAt(unit) > 0xffff ? 2 : 1) this.starts.push(unit);
    this.starts.push(text.length);
    this.element = document.createElement("div");
    this.element.className = "text";
    this.element.lang = "";
    Object.assign(this.element, { contentEditable: "true", spellcheck: false, tabIndex: 0 });
    for (const [name, value] of [["role", "textbox"], ["aria-multiline", "true"], ["aria-readonly", "true"], ["aria-labelledby", `h-${element.id}`]])
      this.element.setAttribute(name, value);
    element.append(this.element);
    for (const kind of ["beforeinput", "drop", "cut", "paste"]) this.element.addEventListener(kind, (event) => event.preventDefault());
    if (onMark) this.#addTool(element, onMark);
    else Object.assign(this.element, { contentEditable: "false" });
    this.render([]);
  }

  #addTool(element, onMark) {
    const tool = document.createElement("div");
    tool.className = "tool";
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "quiet", textContent: "Mark selected words", disabled: true });
    tool.append(button, "or press Enter");
    element.append(tool);
    const mark = () => {
      const span = this.selection();
      if (!span) return;
      onMark(span);
      if (document.getSelection().rangeCount) document.getSelection().collapseToEnd(); // else it hides the mark
    };
    button.addEventListener("mousedown", (event) => event.preventDefault()); // the selection stays
    button.addEventListener("click", mark);
    document.addEventListener("selectionchange", () => (button.disabled = !this.selection()));
    this.element.addEventListener("keydown", (event) => {
      // Chromium goes on from the caret, and a caret before a long text leads it back to the text itself
      if (event.key === "Tab" && document.getSelection().isCollapsed) document.getSelection().removeAllRanges();
      if (event.key !== "Enter" || event.isComposing || event.ctrlKey) return;
      event.preventDefault();
      mark();
    });
  }

  slice(begin, end) {
    return this.text.slice(this.starts[begin], this.starts[end]);
  }

  // {begin, end} of what is selected inside this text, trimmed of white space at both ends; null if nothing is
  selection() {
    const selected = document.getSelection();
    if (!selected.rangeCount || selected.isCollapsed) return null;
    const range = selected.getRangeAt(0);
    if (!this.element.contains(range.startContainer) || !this.element.contains(range.endContainer)) return null;
    let [begin, end] = [this.#unit(range.startContainer, range.startOffset), this.#unit(range.endContainer, range.endOffset)];
    while (begin < end && /\s/.test(this.text[begin])) begin++;
    while (end > begin && /\s/.test(this.text[end - 1])) end--;
    return begin < end ? { kind: "text", begin: this.#character(begin, false), end: this.#character(end, true) } : null;
  }

  // marks: [{begin, end, name}], name one of other, shown, current; where they overlap the last name in that order wins
  render(marks) {
    const rank = { other: 1, shown: 2, current: 3 };
    const cuts = new Set([0, this.starts.length - 1]);
    const inside = marks.filter((mark) => mark.begin < mark.end && mark.end < this.starts.length);
    for (const mark of inside) cuts.add(mark.begin).add(mark.end);
    const edges = [...cuts].sort((a, b) => a - b);
    const caret = this.#caret();
    const pieces = []; // {name, text}, neighbours of one name joined
    for (const [idx, begin] of edges.slice(0, -1).entries()) {
      const covering = inside.filter((mark) => mark.begin <= begin && mark.end >= edges[idx + 1]);
      const name = covering.sort((a, b) => rank[b.name] - rank[a.name])[0]?.name ?? "";
      const text = this.slice(begin, edges[idx + 1]);
      if (pieces.length && pieces.at(-1).name === name) pieces.at(-1).text += text;
      else pieces.push({ name, text });
    }
    const nodes = pieces.map(({ name, text }) => {
      if (!name) return document.createTextNode(text);
      return Object.assign(document.createElement("mark"), { className: name, textContent: text });
    });
    this.element.replaceChildren(...nodes);
    if (caret) this.#restore(caret);
  }

  reveal(begin) {
    for (const node of this.element.childNodes) {
      if (this.#unit(node, 0) >= this.starts[begin] && node.scrollIntoView) {
        const box = this.element.getBoundingClientRect(), place = node.getBoundingClientRect();
        if (place.top < box.top || place.bottom > box.bottom) this.element.scrollTop += place.top - box.top - box.height / 3;
        return;
      }
    }
  }

  #unit(node, offset) {
    const range = document.createRange();
    range.selectNodeContents(this.element);
    range.setEnd(node, offset);
    return range.toString().length;
  }

  #character(unit, isEnd) {
    let low = 0, high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.starts[middle] < unit) low = middle + 1;
      else high = middle;
    }
    return !isEnd && this.starts[low] > unit ? low - 1 : low; // half a surrogate pair belongs to its character
  }

  #caret() {
    const selected = document.getSelection();
    if (!selected.rangeCount || !this.element.contains(selected.anchorNode) || !this.element.contains(selected.focusNode)) return null;
    return [this.#unit(selected.anchorNode, selected.anchorOffset), this.#unit(selected.focusNode, selected.focusOffset)];
  }

  #restore(caret) {
    const find = (unit) => {
      for (const child of this.element.childNodes) {
        const node = child.firstChild ?? child;
        if (unit <= node.length) return [node, unit];
        unit -= node.length;
      }
      return [this.element, this.element.childNodes.length];
    };
    document.getSelection().setBaseAndExtent(...find(caret[0]), ...find(caret[1]));
  }
}

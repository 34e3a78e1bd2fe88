// Pictures whose regions, and sounds whose stretches can be marked; by mouse, and by keyboard alone.

const SVG = "http://www.w3.org/2000/svg";
const SHOWN_PX = 320; // chosen: the longer side of a small picture, so that a place in 64 pixels can be hit

function make(tag, values = {}, ...children) {
  const node = Object.assign(document.createElement(tag), values);
  node.append(...children);
  return node;
}

export class MarkedPicture {
  constructor(element, medium, onMark) {
    this.size = { width: medium.width, height: medium.height };
    const image = make("img", { src: medium.url, alt: medium.text || "The picture to be judged", draggable: false });
    this.layer = document.createElementNS(SVG, "svg");
    this.layer.setAttribute("viewBox", `0 0 ${medium.width} ${medium.height}`);
    this.layer.setAttribute("preserveAspectRatio", "none");
    const frame = make("div", { className: "picture" }, image, this.layer);
    // the size is known before the file is there, so nothing moves under a hand; a small picture is shown larger
    const zoom = Math.max(1, Math.floor(SHOWN_PX / Math.max(medium.width, medium.height)));
    const shape = medium.width / medium.height;
    frame.style.width = `min(${medium.width * zoom}px, 100%, ${38 * shape}vh)`;
    frame.style.aspectRatio = `${shape}`;
    if (zoom > 1) frame.classList.add("enlarged");
    element.append(frame);
    this.at = { x: Math.round(medium.width / 2), y: Math.round(medium.height / 2) };
    this.corner = null;
    this.marks = [];
    if (!onMark) return;
    this.onMark = onMark;
    this.layer.tabIndex = 0;
    this.layer.setAttribute("role", "application");
    this.layer.setAttribute("aria-label", "Picture. Move the cross with the arrow keys, Shift for larger steps; Enter sets one corner, Enter again the other; Escape starts again.");
    element.append(make("div", { className: "tool" }, "Drag a box. Or: arrow keys, Enter, arrow keys, Enter."));
    this.layer.addEventListener("keydown", (event) => this.#key(event));
    this.layer.addEventListener("focus", () => this.#draw());
    this.layer.addEventListener("blur", () => this.#draw());
    this.layer.addEventListener("pointerdown", (event) => {
      this.layer.setPointerCapture(event.pointerId);
      this.corner = this.at = this.#place(event);
    });
    this.layer.addEventListener("pointermove", (event) => {
      if (!this.corner || !event.buttons) return;
      this.at = this.#place(event);
      this.#draw();
    });
    this.layer.addEventListener("pointerup", () => this.#finish());
  }

  #place(event) {
    const box = this.layer.getBoundingClientRect();
    const clamp = (value, most) => Math.max(0, Math.min(most, Math.round(value)));
    return {
      x: clamp(((event.clientX - box.left) / box.width) * this.size.width, this.size.width),
      y: clamp(((event.clientY - box.top) / box.height) * this.size.height, this.size.height),
    };
  }

  #key(event) {
    const step = event.shiftKey ? Math.ceil(this.size.width / 20) : 1;
    const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (move) {
      const [x, y] = [this.at.x + move[0], this.at.y + move[1]];
      this.at = { x: Math.max(0, Math.min(this.size.width, x)), y: Math.max(0, Math.min(this.size.height, y)) };
    } else if (event.key === "Enter" && !event.ctrlKey) {
      if (this.corner) this.#finish();
      else this.corner = this.at;
    } else if (event.key === "Escape") this.corner = null;
    else return;
    event.preventDefault();
    this.#draw();
  }

  #box() {
    const { corner, at } = this;
    return { kind: "region", x: Math.min(corner.x, at.x), y: Math.min(corner.y, at.y), width: Math.abs(corner.x - at.x), height: Math.abs(corner.y - at.y) };
  }

  #finish() {
    if (!this.corner) return;
    const box = this.#box();
    this.corner = null;
    if (box.width > 0 && box.height > 0) this.onMark(box);
    this.#draw();
  }

  #draw() {
    const shapes = this.marks.map((mark) => [mark, mark.name]);
    if (this.corner) shapes.push([this.#box(), "current"]);
    const nodes = shapes.map(([box, name]) => {
      const node = document.createElementNS(SVG, "rect");
      for (const key of ["x", "y", "width", "height"]) node.setAttribute(key, box[key]);
      node.setAttribute("class", name);
      return node;
    });
    if (document.activeElement === this.layer)
      for (const [dx, dy] of [[1, 0], [0, 1]]) {
        const line = document.createElementNS(SVG, "line");
        const reach = this.size.width / 30;
        line.setAttribute("x1", this.at.x - dx * reach);
        line.setAttribute("x2", this.at.x + dx * reach);
        line.setAttribute("y1", this.at.y - dy * reach);
        line.setAttribute("y2", this.at.y + dy * reach);
        nodes.push(line);
      }
    this.layer.replaceChildren(...nodes);
  }

  render(marks) {
    this.marks = marks;
    this.#draw();
  }

  reveal() {}
}

export class MarkedSound {
  constructor(element, medium, onMark) {
    const tag = medium.modality === "video" ? "video" : "audio";
    const player = make(tag, { src: medium.url, controls: true, preload: "metadata" });
    element.append(player);
    if (medium.text) element.append(make("p", { className: "small", textContent: `Transcript: ${medium.text}` }));
    if (!onMark) return;
    const begin = make("input", { type: "number", min: 0, max: medium.duration_s, step: 0.1, value: 0 });
    const end = make("input", { type: "number", min: 0, max: medium.duration_s, step: 0.1, value: 0 });
    const button = (text, act) => {
      const node = make("button", { type: "button", className: "quiet", textContent: text });
      node.addEventListener("click", act);
      return node;
    };
    const now = () => Math.min(medium.duration_s, Math.round(player.currentTime * 100) / 100);
    const mark = () => {
      const [from, to] = [Number(begin.value), Math.min(Number(end.value), medium.duration_s)];
      const isGood = from >= 0 && from < to;
      end.setCustomValidity(isGood ? "" : "The end must be later than the begin.");
      if (isGood) onMark({ kind: "time", begin_s: from, end_s: to });
      else end.reportValidity();
    };
    element.append(
      make("div", { className: "tool" },
        make("label", {}, "From ", begin, " s"), button("now", () => (begin.value = now())),
        make("label", {}, "to ", end, " s"), button("now", () => (end.value = now())),
        button("Mark this stretch", mark)),
    );
  }

  render() {}

  reveal() {}
}

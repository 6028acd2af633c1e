// Painting a mask over a picture: brush, eraser and box, with undo, in the picture's own pixels.
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { Zoom } from "./zoom.js";

const INK = "#e4572e";
const MOST_PIXELS = 16e6; // a larger picture is painted on a smaller copy, since phones have no larger canvas

export class Editor {
  /** @param {() => void} onpaint after every change. */
  constructor(source, width, height, onpaint) {
    const shrink = Math.min(1, Math.sqrt(MOST_PIXELS / (width * height)));
    Object.assign(this, { width, height, onpaint, tool: "paint", shrink, done: [], undone: [], stroke: null, base: null });
    this.size = Math.max(4, Math.round(Math.min(width, height) / 14));
    this.image = h("img", { src: source, alt: t("repair.yourPicture"), draggable: false });
    this.canvas = h("canvas", { class: "brush", width: Math.round(width * shrink), height: Math.round(height * shrink), "aria-label": t("repair.paintHere"), role: "img" });
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.cursor = h("div", { class: "brush-cursor", hidden: true });
    this.frame = h("div", { class: "box-frame", hidden: true });
    this.zoom = new Zoom(h("div", {}, this.image, this.canvas, this.frame), width, height, t("repair.yourPicture"));
    this.element = this.zoom.element;
    this.element.append(this.cursor);
    this.element.classList.add("paintable");
    this.zoom.changed = () => this.follow();
    this.element.tabIndex = 0;
    this.key = null; // where the keyboard's brush is
    this.element.addEventListener("keydown", (event) => this.press(event));
    this.element.addEventListener("blur", () => { if (this.key) { this.key = null; this.cursor.hidden = true; } });
    for (const kind of ["pointerdown", "pointermove", "pointerup", "pointercancel", "pointerleave"]) this.element.addEventListener(kind, (event) => this.point(event));
  }

  /** Is anything painted? */
  get painted() {
    const { data } = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    for (let i = 3; i < data.length; i += 4) if (data[i] > 127) return true;
    return false;
  }

  choose(tool) {
    this.tool = tool;
    this.element.dataset.tool = tool;
    this.follow();
  }

  point(event) {
    if (this.zoom.pinch(event)) { this.stroke = null; this.redraw(); return; }
    this.last = event;
    this.follow();
    const at = this.zoom.at(event);
    if (event.type === "pointerdown") {
      if (event.button > 1 || event.target.closest("button")) return;
      this.element.setPointerCapture(event.pointerId);
      const moving = this.tool === "move" || event.button === 1 || this.held;
      this.stroke = moving ? { kind: "move", from: [event.clientX, event.clientY] } : this.tool === "box" ? { kind: "box", from: at, to: at } : { kind: this.tool, size: this.size, points: [at] };
      if (this.stroke.points) this.line(this.stroke, 0);
    } else if (event.type === "pointermove" && this.stroke) {
      if (this.stroke.kind === "move") {
        this.zoom.move(event.clientX - this.stroke.from[0], event.clientY - this.stroke.from[1]);
        this.stroke.from = [event.clientX, event.clientY];
      } else if (this.stroke.kind === "box") { this.stroke.to = at; this.outline(); } else {
        this.stroke.points.push(at);
        this.line(this.stroke, this.stroke.points.length - 2);
      }
    } else if (["pointerup", "pointercancel"].includes(event.type) && this.stroke) {
      const { stroke } = this;
      this.stroke = null;
      this.frame.hidden = true;
      if (stroke.kind !== "move") this.add(stroke);
    }
  }

  /** Arrows move the brush, Space paints there. */
  press(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], " ": [0, 0] }[event.key];
    if (!way || event.ctrlKey || event.metaKey || event.target !== this.element) return;
    event.preventDefault();
    const step = event.shiftKey ? 1 : Math.max(1, this.size / 2);
    this.key ||= [this.width / 2, this.height / 2];
    this.key = [Math.max(0, Math.min(this.width, this.key[0] + way[0] * step)), Math.max(0, Math.min(this.height, this.key[1] + way[1] * step))];
    if (event.key === " ") this.add({ kind: this.tool === "erase" ? "erase" : "paint", size: this.size, points: [[...this.key]] });
    this.last = null;
    this.follow();
  }

  /** The round cursor shows how large the brush is. */
  follow() {
    const brush = this.tool === "paint" || this.tool === "erase";
    const event = this.last;
    const pointed = brush && event && event.type !== "pointerleave" && event.pointerType !== "touch" && !this.held;
    this.cursor.hidden = !pointed && !this.key;
    if (this.cursor.hidden) return;
    const box = this.element.getBoundingClientRect();
    const side = this.size * this.zoom.scale;
    const [x, y] = pointed ? [event.clientX - box.left, event.clientY - box.top] : [this.key[0] * this.zoom.scale + this.zoom.x, this.key[1] * this.zoom.scale + this.zoom.y];
    Object.assign(this.cursor.style, { width: `${side}px`, height: `${side}px`, left: `${x}px`, top: `${y}px` });
  }

  outline() {
    const [[a, b], [c, d]] = [this.stroke.from, this.stroke.to];
    this.frame.hidden = false;
    Object.assign(this.frame.style, { left: `${Math.min(a, c)}px`, top: `${Math.min(b, d)}px`, width: `${Math.abs(a - c)}px`, height: `${Math.abs(b - d)}px` });
  }

  /** Something was painted; it can be undone. */
  add(action) {
    this.done.push(action);
    this.undone = [];
    this.draw(action);
    this.onpaint?.();
  }

  undo() { this.step(this.done, this.undone); }

  redo() { this.step(this.undone, this.done); }

  step(from, to) {
    if (!from.length) return;
    to.push(from.pop());
    this.redraw();
    this.onpaint?.();
  }

  redraw() {
    this.context.globalCompositeOperation = "source-over";
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (this.base) this.draw({ kind: "load", picture: this.base });
    for (const action of this.done) this.draw(action);
  }

  clear() { this.add({ kind: "clear" }); }

  invert() { this.add({ kind: "invert" }); }

  /** Where somebody begins: what was painted before a reload. It cannot be undone. */
  begin(picture) { this.base = picture; this.redraw(); }

  draw(action) {
    const c = this.context;
    const { width, height } = this.canvas;
    c.globalCompositeOperation = "source-over";
    if (action.points) action.points.forEach((_, i) => this.line(action, i - 1));
    else if (action.kind === "box") {
      c.fillStyle = INK;
      const [x, y, u, v] = [...action.from, ...action.to].map((value) => value * this.shrink);
      c.fillRect(Math.round(Math.min(x, u)), Math.round(Math.min(y, v)), Math.round(Math.abs(x - u)), Math.round(Math.abs(y - v)));
    } else if (action.kind === "clear") c.clearRect(0, 0, width, height);
    else if (action.kind === "load") c.drawImage(action.picture, 0, 0, width, height);
    else if (action.kind === "invert") {
      c.globalCompositeOperation = "xor";
      c.fillStyle = INK;
      c.fillRect(0, 0, width, height);
    }
  }

  /** One piece of a stroke: from point `i` to the next, or a dot. */
  line(stroke, i) {
    const c = this.context;
    const from = stroke.points[Math.max(0, i)];
    const to = stroke.points[Math.min(stroke.points.length - 1, i + 1)];
    c.globalCompositeOperation = stroke.kind === "erase" ? "destination-out" : "source-over";
    c.strokeStyle = INK;
    c.lineWidth = stroke.size * this.shrink;
    c.lineCap = "round";
    c.beginPath();
    c.moveTo(from[0] * this.shrink, from[1] * this.shrink);
    c.lineTo(to[0] * this.shrink + 0.01, to[1] * this.shrink);
    c.stroke();
  }

  /** A mask from a picture: what is opaque in one that has transparent parts, else what is light. */
  async fromFile(file) {
    const bitmap = await createImageBitmap(file);
    this.add({ kind: "load", picture: painted(bitmap, (r, g, b, a, seen) => (seen ? a > 127 : r + g + b > 382)) });
  }

  /** A mask of what is transparent in the picture itself; false where nothing is. */
  async fromAlpha() {
    await this.image.decode();
    const made = painted(this.image, (r, g, b, a) => a < 128, this.canvas);
    if (!made.some) return false;
    this.add({ kind: "load", picture: made });
    return true;
  }

  /** The mask as a PNG, opaque where painted; null where nothing is. */
  blob() { return this.painted ? new Promise((resolve) => this.canvas.toBlob(resolve, "image/png")) : Promise.resolve(null); }
}

/** A canvas with ink where `test(red, green, blue, alpha, hasTransparency)` holds. */
function painted(picture, test, size = picture) {
  const made = h("canvas", { width: size.width, height: size.height });
  const context = made.getContext("2d");
  context.drawImage(picture, 0, 0, size.width, size.height);
  const image = context.getImageData(0, 0, size.width, size.height);
  const { data } = image;
  let transparent = false;
  for (let i = 3; i < data.length && !transparent; i += 4) transparent = data[i] < 255;
  made.some = false;
  for (let i = 0; i < data.length; i += 4) {
    const on = test(data[i], data[i + 1], data[i + 2], data[i + 3], transparent);
    made.some ||= on;
    [data[i], data[i + 1], data[i + 2], data[i + 3]] = [0xe4, 0x57, 0x2e, on ? 255 : 0];
  }
  context.putImageData(image, 0, 0);
  return made;
}

// One family's view of the plane: the discriminator's landscape, real points, samples, and how each sample is pushed.
import { h } from "./dom.js";
import { t } from "./i18n.js";

const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function unpack16(text) {
  const raw = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return Float32Array.from(new Int16Array(raw.buffer), (v) => v / 32767);
}

const rgb = (hex) => [1, 3, 5].map((i) => Number.parseInt(hex.slice(i, i + 2), 16));
const mix = (a, b, t) => a.map((v, i) => Math.round(v + (b[i] - v) * t));

/** 256 colours from "made up" (cool) over nothing to "real" (warm). */
function palette() {
  const [cool, warm, middle] = [rgb(token("--blue")), rgb(token("--accent")), rgb(token("--surface"))];
  return Array.from({ length: 256 }, (_, i) => {
    const t = i / 127.5 - 1;
    return mix(middle, t > 0 ? warm : cool, 0.62 * Math.abs(t) ** 0.8);
  });
}

export class Plane {
  constructor(name, side = 360) {
    this.side = side;
    this.canvas = h("canvas", { class: "plane", width: side * 2, height: side * 2, role: "img", "aria-label": name });
    this.small = h("canvas");
    this.retint();
  }

  retint() { this.palette = palette(); }

  /** @param {{landscape: boolean, push: boolean, real: boolean}} show */
  draw(frame, real, cells, show) {
    const c = this.canvas.getContext("2d");
    const size = this.canvas.width;
    const at = (v, i) => [(v[2 * i] + 0.5) * size, (0.5 - v[2 * i + 1]) * size];
    c.fillStyle = token("--surface");
    c.fillRect(0, 0, size, size);
    if (show.landscape) this.landscape(c, frame, cells, size);
    if (show.real) {
      c.strokeStyle = token("--muted");
      c.globalAlpha = 0.55;
      c.lineWidth = 1.6;
      c.beginPath();
      for (let i = 0; i < real.length / 2; i += 1) {
        const [x, y] = at(real, i);
        c.moveTo(x - 4, y - 4);
        c.lineTo(x + 4, y + 4);
        c.moveTo(x + 4, y - 4);
        c.lineTo(x - 4, y + 4);
      }
      c.stroke();
      c.globalAlpha = 1;
    }
    const samples = unpack16(frame.samples);
    if (show.push) this.arrows(c, samples, unpack16(frame.push), at, size);
    c.fillStyle = token("--text");
    c.strokeStyle = token("--surface");
    c.lineWidth = 1.2;
    for (let i = 0; i < samples.length / 2; i += 1) {
      const [x, y] = at(samples, i);
      c.beginPath();
      c.arc(x, y, 4.6, 0, 7);
      c.fill();
      c.stroke();
    }
  }

  landscape(c, frame, cells, size) {
    const raw = Uint8Array.from(atob(frame.landscape), (ch) => ch.charCodeAt(0));
    const image = new ImageData(cells, cells);
    raw.forEach((v, i) => image.data.set([...this.palette[v], 255], 4 * i));
    Object.assign(this.small, { width: cells, height: cells });
    this.small.getContext("2d").putImageData(image, 0, 0);
    c.imageSmoothingEnabled = true;
    c.imageSmoothingQuality = "high";
    c.drawImage(this.small, 0, 0, size, size);
  }

  arrows(c, samples, push, at, size) {
    c.strokeStyle = token("--violet");
    c.lineWidth = 2.4;
    c.lineCap = "round";
    c.beginPath();
    for (let i = 0; i < push.length / 2; i += 1) {
      const [x, y] = at(samples, i);
      const long = Math.hypot(push[2 * i], push[2 * i + 1]);
      if (long < 0.01) continue;
      const reach = (size * 0.075 * Math.sqrt(long)) / long;
      const dx = push[2 * i] * reach;
      const dy = -push[2 * i + 1] * reach;
      const turn = Math.atan2(dy, dx);
      c.moveTo(x, y);
      c.lineTo(x + dx, y + dy);
      for (const side of [2.6, -2.6]) {
        c.moveTo(x + dx, y + dy);
        c.lineTo(x + dx + 9 * Math.cos(turn + side), y + dy + 9 * Math.sin(turn + side));
      }
    }
    c.stroke();
  }
}

/** A small curve of two shares over the game so far. */
export class Spark {
  constructor() {
    this.canvas = h("canvas", { class: "spark", width: 600, height: 80, "aria-hidden": "true" });
    this.points = [];
  }

  add(found, good) {
    this.points.push([found, good]);
    if (this.points.length > 400) this.points = this.points.filter((_, i) => i % 2);
    const c = this.canvas.getContext("2d");
    const { width, height } = this.canvas;
    c.clearRect(0, 0, width, height);
    ["--accent", "--text"].forEach((name, k) => {
      c.strokeStyle = token(name);
      c.lineWidth = 3;
      c.beginPath();
      this.points.forEach((p, i) => {
        const x = (i / Math.max(1, this.points.length - 1)) * (width - 4) + 2;
        const y = height - 4 - p[k] * (height - 8);
        if (i) c.lineTo(x, y); else c.moveTo(x, y);
      });
      c.stroke();
    });
  }
}

/** A board to draw one's own points on. */
export class Board {
  constructor() {
    this.points = [];
    this.canvas = h("canvas", { class: "plane board", width: 720, height: 720, "aria-label": t("understand.drawName"), role: "img" });
    this.last = null;
    this.canvas.addEventListener("pointerdown", (event) => { this.canvas.setPointerCapture(event.pointerId); this.last = null; this.put(event); });
    this.canvas.addEventListener("pointermove", (event) => { if (event.buttons & 1) this.put(event); });
    this.draw();
  }

  put(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width - 0.5) * 3;
    const y = (0.5 - (event.clientY - box.top) / box.height) * 3;
    if (this.last && Math.hypot(x - this.last[0], y - this.last[1]) < 0.04) return;
    this.last = [x, y];
    if (this.points.length < 1500) this.points.push([x, y]);
    this.draw();
  }

  clear() { this.points = []; this.draw(); }

  draw() {
    const c = this.canvas.getContext("2d");
    c.fillStyle = token("--surface");
    c.fillRect(0, 0, 720, 720);
    c.textAlign = "center";
    c.font = "500 30px system-ui, sans-serif";
    c.fillStyle = token("--muted");
    if (!this.points.length) c.fillText(t("understand.drawHere"), 360, 370);
    c.fillStyle = token("--text");
    for (const [x, y] of this.points) {
      c.beginPath();
      c.arc((x / 3 + 0.5) * 720, (0.5 - y / 3) * 720, 7, 0, 7);
      c.fill();
    }
  }
}

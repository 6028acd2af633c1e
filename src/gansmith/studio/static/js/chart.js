// Line charts on a canvas: several series over images seen or time, hover or arrows to read values, click a name to hide it.
import { fill, h } from "./dom.js";
import { count, decimals, duration } from "./format.js";
import { t } from "./i18n.js";

const COLOURS = ["--blue", "--accent", "--good", "--violet", "--teal", "--warn", "--bad", "--muted"];
const TARGET_TICKS = 5;

export const colour = (index) => getComputedStyle(document.documentElement).getPropertyValue(COLOURS[index % COLOURS.length]).trim();
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function ticks(low, high) {
  const rough = (high - low) / TARGET_TICKS || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough) || power;
  const found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-6; v += step) found.push(Math.abs(v) < step * 1e-6 ? 0 : v);
  return found;
}

/** Ticks of a logarithmic axis, of which `low` and `high` are logarithms to base 10. */
function logTicks(low, high) {
  const found = [];
  const fine = high - low < 1.2;
  for (let power = Math.floor(low); power <= Math.ceil(high); power += 1) {
    for (const m of fine ? [1, 2, 5] : [1]) {
      const at = power + Math.log10(m);
      if (at >= low && at <= high) found.push(at);
    }
  }
  return found.length > 1 ? found : [low + (high - low) * 0.1, low + (high - low) * 0.9];
}

/** A running mean over a share of the points, so that noisy losses can be read; 0 leaves them as they are. */
export function smooth(points, strength) {
  const reach = Math.floor((points.length * strength) / 12);
  if (reach < 1) return points;
  const sums = [0];
  for (const [, y] of points) sums.push(sums.at(-1) + y);
  return points.map(([x], i) => {
    const from = Math.max(0, i - reach);
    const to = Math.min(points.length, i + reach + 1);
    return [x, (sums[to] - sums[from]) / (to - from)];
  });
}

export class Chart {
  /** @param {string} name what it shows, for screen readers. */
  constructor(name, { height = 220, unit = "" } = {}) {
    Object.assign(this, { name, series: [], hidden: new Set(), unit, x: "images", log: false, strength: 0.2 });
    this.legend = h("div", { class: "legend" });
    this.canvas = h("canvas", { role: "img", "aria-label": name, tabIndex: 0, style: { height: `${height}px` } });
    this.tip = h("div", { class: "tip", hidden: true });
    this.frame = h("div", { style: { position: "relative" } }, this.canvas, this.tip);
    this.element = h("div", { class: "chart" }, this.legend, this.frame);
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    for (const kind of ["pointerleave", "blur"]) this.canvas.addEventListener(kind, () => { this.at = null; this.draw(); });
    this.canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
      if (!step || !this.px) return;
      event.preventDefault();
      const at = this.at ?? (step > 0 ? this.x0 : this.x1);
      this.at = Math.min(this.x1, Math.max(this.x0, at + step * (this.x1 - this.x0)));
      this.draw();
    });
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.seen = false; // what is scrolled out of sight is not drawn
    new IntersectionObserver((entries) => { this.seen = entries.at(-1).isIntersecting; this.draw(); }, { rootMargin: "300px" }).observe(this.canvas);
    const retint = () => (this.element.isConnected ? this.set(this.series) : window.removeEventListener("themechange", retint));
    window.addEventListener("themechange", retint);
  }

  /** @param {{log?: boolean, strength?: number, x?: "images" | "seconds"}} options */
  look(options) { Object.assign(this, options); }

  /** @param {{name: string, points: [number, number][], colour?: number}[]} series */
  set(series) {
    this.series = series.map((s, i) => {
      const points = this.log ? s.points.filter(([, y]) => y > 0) : s.points;
      return { ...s, shown: points, line: smooth(points, this.strength), index: s.colour ?? i };
    });
    fill(this.legend, this.series.map((s) => h("button", {
      type: "button", "aria-pressed": String(!this.hidden.has(s.name)), title: t("chart.toggle"),
      onclick: () => { if (!this.hidden.delete(s.name)) this.hidden.add(s.name); this.set(this.series); },
    }, h("i", { style: { background: colour(s.index) } }), s.name,
      h("span", { class: "muted" }, s.line.length ? decimals(s.line.at(-1)[1]) : ""))));
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !this.seen) return;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const c = canvas.getContext("2d");
    c.scale(ratio, ratio);
    c.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const visible = this.series.filter((s) => !this.hidden.has(s.name) && s.line.length);
    this.tip.hidden = true;
    if (!visible.length) {
      c.fillStyle = token("--muted");
      c.textAlign = "center";
      return c.fillText(t("chart.nothing"), width / 2, height / 2);
    }
    this.scales(visible, width, height);
    this.axes(c, width, height);
    const lone = visible.length > 4;
    for (const s of visible) {
      if (!lone && this.strength) this.line(c, s.shown, colour(s.index), 1, 0.22);
      this.line(c, s.line, colour(s.index), 1.8, 1);
    }
    if (this.at !== null && this.at !== undefined) this.read(c, visible, width);
    return undefined;
  }

  scales(visible, width, height) {
    const xs = visible.flatMap((s) => [s.shown[0][0], s.shown.at(-1)[0]]);
    // the middle 98 % of the values: one wild step must not flatten the rest
    const scaled = this.log ? (y) => Math.log10(Math.max(y, 1e-12)) : (y) => y;
    const ys = visible.flatMap((s) => s.line.map((p) => scaled(p[1]))).sort((a, b) => a - b);
    let low = ys[Math.floor(ys.length * 0.01)];
    let high = ys[Math.ceil(ys.length * 0.99) - 1];
    const pad = (high - low || Math.abs(high) || 1) * 0.08;
    low -= pad;
    high += pad;
    const [left, right, top, bottom] = [46, 10, this.unit ? 20 : 8, 36];
    const x0 = Math.min(...xs);
    const x1 = Math.max(...xs, x0 + 1);
    Object.assign(this, { left, x0, x1, low, high });
    this.px = (x) => left + ((x - x0) / (x1 - x0)) * (width - left - right);
    this.py = (y) => top + (1 - (scaled(y) - low) / (high - low)) * (height - top - bottom);
    this.area = [left, top, width - left - right, height - top - bottom];
  }

  axes(c, width, height) {
    c.lineWidth = 1;
    c.strokeStyle = token("--line");
    c.fillStyle = token("--muted");
    c.textAlign = "right";
    c.textBaseline = "middle";
    for (const tick of this.log ? logTicks(this.low, this.high) : ticks(this.low, this.high)) {
      const v = this.log ? 10 ** tick : tick;
      const y = Math.round(this.py(v)) + 0.5;
      c.beginPath();
      c.moveTo(this.left, y);
      c.lineTo(width - 10, y);
      c.stroke();
      c.fillText(Math.abs(v) >= 1000 ? count(Number(v.toPrecision(3))) : Number(v.toPrecision(3)), this.left - 7, y);
    }
    if (this.unit) {
      c.textAlign = "left";
      c.fillText(this.unit, 2, 7);
    }
    c.textBaseline = "alphabetic";
    c.textAlign = "center";
    const shown = ticks(this.x0, this.x1);
    shown.forEach((v, i) => {
      if (width < 420 && i % 2) return;
      const x = Math.min(this.px(v), width - 24);
      c.fillText(this.x === "seconds" ? duration(v) : count(v), x, height - 20);
    });
    c.textAlign = "right";
    c.fillText(t(this.x === "seconds" ? "chart.alongTime" : "chart.alongImages"), width - 10, height - 4);
  }

  line(c, points, ink, thick, alpha) {
    c.save();
    c.beginPath();
    c.rect(...this.area);
    c.clip();
    c.globalAlpha = alpha;
    c.strokeStyle = ink;
    c.lineWidth = thick;
    c.lineJoin = "round";
    c.beginPath();
    points.forEach(([x, y], i) => (i ? c.lineTo(this.px(x), this.py(y)) : c.moveTo(this.px(x), this.py(y))));
    c.stroke();
    c.restore();
  }

  point(event) {
    if (!this.px) return;
    const share = (event.offsetX - this.left) / this.area[2];
    this.at = this.x0 + Math.min(1, Math.max(0, share)) * (this.x1 - this.x0);
    this.draw();
  }

  read(c, visible, width) {
    const x = this.px(this.at);
    c.strokeStyle = token("--line-strong");
    c.beginPath();
    c.moveTo(x, this.area[1]);
    c.lineTo(x, this.area[1] + this.area[3]);
    c.stroke();
    const rows = visible.map((s) => {
      const near = s.line.reduce((best, p) => (Math.abs(p[0] - this.at) < Math.abs(best[0] - this.at) ? p : best));
      c.fillStyle = colour(s.index);
      c.beginPath();
      c.arc(this.px(near[0]), this.py(near[1]), 3.5, 0, 7);
      c.fill();
      return h("div", {}, `${s.name}  ${decimals(near[1])}`);
    });
    fill(this.tip, h("div", { style: { opacity: 0.7 } }, this.x === "seconds" ? duration(this.at) : t("chart.images", { n: count(Math.round(this.at)) })), rows);
    this.tip.hidden = false;
    const wide = this.tip.offsetWidth;
    this.tip.style.left = `${x + 12 + wide > width ? x - wide - 12 : x + 12}px`;
  }
}

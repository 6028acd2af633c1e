// A picture in a window: zoomed, moved, and shown pixel for pixel.
import { h, iconButton } from "./dom.js";
import { t } from "./i18n.js";

const MOST = 32;

/** Puts `sheet` (an element with the picture's own size in pixels) into a window that fits it, zooms and moves. */
export class Zoom {
  constructor(sheet, width, height, name) {
    Object.assign(this, { sheet, width, height, x: 0, y: 0, scale: 1, fitted: true, pointers: new Map() });
    sheet.classList.add("sheet");
    sheet.style.width = `${width}px`;
    sheet.style.height = `${height}px`;
    this.element = h("div", { class: "window", role: "group", "aria-label": name, style: { "--ratio": width / height } }, sheet);
    this.told = h("span", { class: "small muted number zoomed" });
    this.bar = h("div", { class: "row zoom-bar" }, iconButton(t("zoom.out"), "minus", () => this.by(1 / 1.5)), this.told, iconButton(t("zoom.in"), "plus", () => this.by(1.5)),
      h("button", { type: "button", class: "button quiet slim", onclick: () => this.one(), title: t("zoom.one"), "aria-label": t("zoom.one") }, "1:1"), iconButton(t("zoom.fit"), "fit", () => this.fit()));
    this.element.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
      event.preventDefault();
      const box = this.element.getBoundingClientRect();
      this.by(Math.exp(-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
    this.changed = null;
    new ResizeObserver(() => (this.fitted ? this.fit() : this.place())).observe(this.element);
  }

  get fitScale() { return Math.min(this.element.clientWidth / this.width, this.element.clientHeight / this.height) || 1; }

  fit() {
    this.fitted = true;
    this.scale = this.fitScale;
    this.x = (this.element.clientWidth - this.width * this.scale) / 2;
    this.y = (this.element.clientHeight - this.height * this.scale) / 2;
    this.place();
  }

  /** One pixel of the picture on one of the screen. */
  one() { this.by(1 / (devicePixelRatio || 1) / this.scale); }

  by(factor, atX = this.element.clientWidth / 2, atY = this.element.clientHeight / 2) {
    const least = Math.min(this.fitScale, 1 / (devicePixelRatio || 1));
    const next = Math.max(least, Math.min(MOST, this.scale * factor));
    this.fitted = Math.abs(next / this.fitScale - 1) < 0.001;
    if (this.fitted) { this.fit(); return; }
    this.x = atX - ((atX - this.x) * next) / this.scale;
    this.y = atY - ((atY - this.y) * next) / this.scale;
    this.scale = next;
    this.place();
  }

  move(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.place();
  }

  place() {
    const { clientWidth: wide, clientHeight: tall } = this.element;
    const held = (at, size, room) => (size <= room ? (room - size) / 2 : Math.max(room - size, Math.min(0, at)));
    this.x = held(this.x, this.width * this.scale, wide);
    this.y = held(this.y, this.height * this.scale, tall);
    this.sheet.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.sheet.classList.toggle("pixels", this.scale * (devicePixelRatio || 1) >= 2);
    this.told.textContent = `${Math.round(100 * this.scale * (devicePixelRatio || 1))} %`;
    this.element.dataset.scale = this.scale.toFixed(4);
    this.changed?.();
  }

  /** Where a pointer is, in the picture's pixels. */
  at(event) {
    const box = this.element.getBoundingClientRect();
    return [(event.clientX - box.left - this.x) / this.scale, (event.clientY - box.top - this.y) / this.scale];
  }

  /** Two fingers zoom and move. Call for every pointer event; true while it is about two fingers. */
  pinch(event) {
    if (event.pointerType !== "touch") return false;
    if (event.type === "pointerup" || event.type === "pointercancel") {
      const two = this.pointers.size > 1;
      this.pointers.delete(event.pointerId);
      return two;
    }
    const before = [...this.pointers.values()];
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    if (this.pointers.size < 2) return false;
    const after = [...this.pointers.values()];
    if (before.length === 2) {
      const far = ([a, b]) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
      const middle = ([a, b]) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
      const [was, is] = [middle(before), middle(after)];
      const box = this.element.getBoundingClientRect();
      this.move(is[0] - was[0], is[1] - was[1]);
      this.by(far(after) / far(before), is[0] - box.left, is[1] - box.top);
    }
    return true;
  }
}

// Painting a mask over a picture.
import { h } from "./dom.js";

/** A canvas over a picture: brush and eraser in the picture's own pixels. */
export class Brush {
  constructor(width, height, onpaint) {
    this.canvas = h("canvas", { class: "brush", width, height, "aria-label": "Paint over what is to be filled", role: "img" });
    this.context = this.canvas.getContext("2d");
    this.size = Math.max(4, Math.round(Math.min(width, height) / 14));
    this.erase = false;
    this.painted = false;
    this.onpaint = onpaint;
    this.last = null;
    this.canvas.addEventListener("pointerdown", (event) => { this.canvas.setPointerCapture(event.pointerId); this.last = null; this.stroke(event); });
    this.canvas.addEventListener("pointermove", (event) => { if (event.buttons & 1) this.stroke(event); });
    this.canvas.addEventListener("pointerup", () => { this.last = null; this.onpaint?.(); });
  }

  stroke(event) {
    const box = this.canvas.getBoundingClientRect();
    const at = [((event.clientX - box.left) / box.width) * this.canvas.width, ((event.clientY - box.top) / box.height) * this.canvas.height];
    const c = this.context;
    c.globalCompositeOperation = this.erase ? "destination-out" : "source-over";
    c.strokeStyle = c.fillStyle = "#e4572e";
    c.lineWidth = this.size;
    c.lineCap = "round";
    c.beginPath();
    c.moveTo(...(this.last || at));
    c.lineTo(...at);
    c.stroke();
    c.beginPath();
    c.arc(...at, this.size / 2, 0, 7);
    c.fill();
    this.last = at;
    this.painted = true;
  }

  clear() {
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.painted = false;
  }

  /** The mask as a PNG's data URL: opaque where painted. */
  url() { return this.canvas.toDataURL("image/png"); }
}

// Before and after, one over the other, with a line to drag.
import { h } from "./dom.js";

export function compare(before, after, ratio) {
  const top = h("img", { src: before, alt: "Before", draggable: false });
  const line = h("div", { class: "line", tabIndex: 0, role: "slider", "aria-label": "Before and after", "aria-valuemin": 0, "aria-valuemax": 100 });
  const element = h("div", { class: "compare", style: { "--ratio": ratio } }, h("img", { src: after, alt: "After", draggable: false }), top, line, h("span", { class: "tag left" }, "Before"), h("span", { class: "tag right" }, "After"));
  let at = 0.5;
  const place = (next) => {
    at = Math.max(0, Math.min(1, next));
    top.style.clipPath = `inset(0 ${100 - 100 * at}% 0 0)`;
    line.style.left = `${100 * at}%`;
    line.setAttribute("aria-valuenow", Math.round(100 * at));
  };
  const drag = (event) => {
    if (event.type === "pointermove" && !(event.buttons & 1)) return;
    const box = element.getBoundingClientRect();
    place((event.clientX - box.left) / box.width);
  };
  element.addEventListener("pointerdown", (event) => { element.setPointerCapture(event.pointerId); drag(event); });
  element.addEventListener("pointermove", drag);
  line.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
    if (step) { event.preventDefault(); place(at + step); }
  });
  place(0.5);
  return element;
}

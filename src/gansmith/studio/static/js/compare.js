// Before and after, one over the other, with a line to drag; zoomed and moved together.
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { Zoom } from "./zoom.js";

/**
 * @param {number[] | undefined} box where the two differ (left, top, right, bottom as shares): the line begins there.
 * @returns {{element, bar, zoom}}
 */
export function compare(before, after, width, height, box) {
  const under = h("img", { src: after, alt: t("repair.after"), draggable: false });
  const top = h("img", { src: before, alt: t("repair.before"), draggable: false });
  const zoom = new Zoom(h("div", {}, under, top), width, height, t("repair.beforeAfter"));
  const line = h("div", { class: "line", tabIndex: 0, role: "slider", "aria-label": t("repair.beforeAfter"), "aria-valuemin": 0, "aria-valuemax": 100 });
  zoom.element.classList.add("compare");
  zoom.element.append(line, h("span", { class: "tag left" }, t("repair.before")), h("span", { class: "tag right" }, t("repair.after")));
  let at = box ? (box[0] + box[2]) / 2 : 0.5; // a share of the picture
  const place = () => {
    top.style.clipPath = `inset(0 ${100 - 100 * at}% 0 0)`;
    line.style.left = `${Math.max(0, Math.min(zoom.element.clientWidth, zoom.x + at * width * zoom.scale))}px`;
    line.setAttribute("aria-valuenow", Math.round(100 * at));
  };
  const go = (next) => { at = Math.max(0, Math.min(1, next)); place(); };
  zoom.changed = place;
  let dragged = null;
  const point = (event) => {
    if (zoom.pinch(event)) { dragged = null; return; }
    if (event.type === "pointerdown" && event.button <= 1) {
      zoom.element.setPointerCapture(event.pointerId);
      // where the picture is larger than its window, the line is held by itself and the picture moves
      const far = Math.abs(event.clientX - line.getBoundingClientRect().x) > 28;
      dragged = event.button === 1 || (far && !zoom.fitted) ? [event.clientX, event.clientY] : "line";
    } else if (event.type === "pointerup" || event.type === "pointercancel") dragged = null;
    if (dragged === "line") go(zoom.at(event)[0] / width);
    else if (dragged) { zoom.move(event.clientX - dragged[0], event.clientY - dragged[1]); dragged = [event.clientX, event.clientY]; }
  };
  for (const kind of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) zoom.element.addEventListener(kind, point);
  line.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
    if (step) { event.preventDefault(); go(at + step); }
  });
  return { element: zoom.element, bar: zoom.bar, zoom };
}

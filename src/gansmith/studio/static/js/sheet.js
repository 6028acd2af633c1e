// Pictures that came in one sheet, as canvases of their own.
import { h } from "./dom.js";

/** Cut picture `index` out of a sheet onto a canvas. */
export function paint(canvas, sheet, index) {
  const { bitmap, columns, width, height } = sheet;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, (index % columns) * width, Math.floor(index / columns) * height, width, height, 0, 0, width, height);
}

/** A canvas for one picture; small ones are shown with sharp pixels. */
export const picture = (name, more = {}) => h("canvas", { role: "img", "aria-label": name, class: "pixels", width: 1, height: 1, ...more });

/** Show one canvas's picture on another. */
export function copy(from, to) {
  Object.assign(to, { width: from.width, height: from.height });
  to.getContext("2d").drawImage(from, 0, 0);
}

/** Canvases of one size as one canvas. */
export function together(canvases, columns) {
  const { width, height } = canvases[0];
  const all = h("canvas", { width: width * columns, height: height * Math.ceil(canvases.length / columns) });
  const context = all.getContext("2d");
  canvases.forEach((canvas, i) => context.drawImage(canvas, (i % columns) * width, Math.floor(i / columns) * height));
  return all;
}

/** A canvas's picture as a PNG, enlarged by a whole factor to at least `side` pixels. */
export function toBlob(canvas, side = 256) {
  const times = Math.max(1, Math.round(side / canvas.width));
  const large = h("canvas", { width: canvas.width * times, height: canvas.height * times });
  const context = large.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, large.width, large.height);
  return new Promise((resolve) => large.toBlob(resolve, "image/png"));
}

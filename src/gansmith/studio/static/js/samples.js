// A run's sample grids over time: a slider, a play button, the film; and labels on the pictures that stand in threes.
import { address } from "./api.js";
import { fill, h, icon, iconButton, slider } from "./dom.js";
import { count, shortName } from "./format.js";
import { t } from "./i18n.js";

/** The address of a run's grid. */
export const gridOf = (id, images) => address("/api/run/file", { id, name: `samples/${String(images).padStart(10, "0")}.png` });

export function sampleWall(id) {
  let grids = [];
  let at = -1;
  let timer = null;
  const image = h("img", { class: "pixels", alt: t("samples.alt") });
  const caption = h("span", { class: "small muted number" });
  const columns = h("div", { class: "columns small muted", hidden: true });
  const time = slider(t("samples.time"), { min: 0, max: 0, step: 1, value: 0, show: (v) => (grids.length ? t("samples.images", { n: count(grids[v]) }) : ""), oninput: (v) => { halt(); show(v); } });
  const playing = h("span");
  const film = h("a", { class: "button quiet slim", hidden: true, download: `${shortName(id)}.mp4`, href: address("/api/run/file", { id, name: "samples/film.mp4" }) }, icon("film"), t("samples.film"));
  const nothing = h("p", { class: "muted small" }, t("samples.soon"));
  const body = h("div", { class: "stack", hidden: true }, h("div", { class: "samples" }, h("div", { class: "samples-inner" }, columns, image)), h("div", { class: "row" }, playing, h("div", { class: "grow" }, time)));
  const element = h("div", { class: "card stack" }, h("div", { class: "row between" }, h("h2", {}, t("samples.title")), h("div", { class: "row" }, caption, film)), nothing, body);

  function show(index) {
    at = index;
    time.set(index);
    image.src = gridOf(id, grids[index]);
    caption.textContent = t("samples.of", { n: index + 1, of: grids.length });
  }
  function halt() { clearInterval(timer); timer = null; drawPlay(); }
  function drawPlay() { fill(playing, iconButton(t(timer ? "samples.pause" : "samples.play"), timer ? "pause" : "start", toggle, "")); }
  function toggle() {
    if (timer) return halt();
    let next = at >= grids.length - 1 ? 0 : at;
    show(next);
    timer = setInterval(() => {
      if (!element.isConnected) return clearInterval(timer);
      next += 1;
      return next < grids.length ? show(next) : halt();
    }, Math.max(90, 2500 / Math.max(grids.length, 1)));
    return drawPlay();
  }
  drawPlay();
  return {
    element,
    set(found) {
      const follow = at === grids.length - 1;
      if (found.length === grids.length && found.at(-1) === grids.at(-1)) return;
      grids = found;
      nothing.hidden = Boolean(grids.length);
      body.hidden = !grids.length;
      time.range(0, Math.max(0, grids.length - 1));
      if (grids.length && (follow || at >= grids.length)) show(grids.length - 1);
    },
    /** What stands in each column of the pictures that a translation shows: given, made, real. */
    label(names) {
      columns.hidden = !names.length;
      columns.style.setProperty("--columns", names.length || 1);
      fill(columns, names.map((name) => h("span", {}, t(`samples.column.${name}`))));
    },
    film(there) { film.hidden = !there; },
  };
}

// Play: draw new pictures from a model, walk between them, mix their styles, keep what is good.
import { get } from "../api.js";
import { keep, link, numeric } from "../address.js";
import { chip, empty, field, fill, h, icon, segments, select, slider } from "../dom.js";
import { count, shortName } from "../format.js";
import { t } from "../i18n.js";
import { favourites } from "../favourites.js";
import { edit } from "../edit_view.js";
import { MOST_SEED, VIEWS as PLAIN } from "../play_views.js";

const VIEWS = { ...PLAIN, edit };

const MODES = ["samples", "walk", "between", "mix", "edit"];
const STYLED = ["mix", "edit"];
/** What stands in the address, and what is usual. */
const USUAL = { mode: "samples", truncation: 1, label: "each", seed: 1, pick: 0, a: 1, b: 2, aClass: 0, t: 0.5, x: 0, y: 0, rows: "1-4", columns: "11-15", layer: -1, found: "", group: "all", amounts: "" };

export async function open(main, query) {
  const head = h("header", { class: "head" }, h("div", { class: "grow" }, h("h1", {}, t("play.title")), h("p", {}, t("play.about"))));
  const body = h("div");
  fill(main, head, body);
  const models = await get("/api/models");
  const known = new Map();
  const facts = async (id) => { if (!known.has(id)) known.set(id, await get("/api/model", { model: id })); return known.get(id); };
  const wanted = query.get("model");
  const generators = models.filter((run) => run.id === wanted || !run.translates);
  if (!generators.length) {
    fill(body, h("div", { class: "card" }, empty("play", t("play.none"), t("play.noneText"), h("a", { class: "button primary", href: "#/train" }, icon("train"), t("runs.trainOne")))));
    return null;
  }
  const state = { model: generators.some((r) => r.id === wanted) ? wanted : generators[0].id, facts: null };
  for (const [key, usual] of Object.entries(USUAL)) state[key] = typeof usual === "number" ? numeric(query, key, usual, -10, MOST_SEED) : query.get(key) || usual;
  for (const key of ["seed", "a", "b", "pick", "aClass"]) state[key] = Math.max(0, Math.floor(state[key]));
  state.truncation = Math.max(0.1, Math.min(1.4, state.truncation));
  /** Change what is shown; the address says it. */
  state.put = (changes) => {
    Object.assign(state, changes);
    keep(Object.fromEntries(Object.entries(changes).map(([key, value]) => [key, value === USUAL[key] ? "" : String(typeof value === "number" ? Number(value.toFixed(3)) : value)])));
  };
  let redraw = () => {};
  const stage = h("div", { class: "stack" });
  const side = h("div", { class: "card stack" });

  async function chooseModel(id) {
    state.model = id;
    keep({ model: id });
    fill(stage, h("div", { class: "card" }, h("div", { class: "bar waiting" }, h("i"))));
    let found;
    try { found = await facts(id); } catch (error) { found = error; }
    if (state.model !== id) return undefined; // another one was chosen while this came
    if (found instanceof Error) {
      fill(side, modelField());
      return fill(stage, h("div", { class: "card" }, empty("alert", t("repair.cannot"), found.message)));
    }
    state.facts = found;
    if (!state.facts.makes) fill(side, modelField());
    if (!state.facts.makes) return fill(stage, h("div", { class: "card" }, empty("repair", t("play.changes"), t("play.changesText"), h("a", { class: "button primary", href: link("repair", { model: id }) }, t("play.openRepair")))));
    if (!MODES.includes(state.mode) || (STYLED.includes(state.mode) && !state.facts.styles)) state.put({ mode: "samples" });
    if (!(Number(state.label) < state.facts.classes.length)) state.put({ label: "each" }); // the last model's class may not be here
    return draw();
  }

  const modelField = () => field(t("repair.model"), select(t("repair.model"), generators.map((run) => [run.id, shortName(run.id)]), state.model, chooseModel));
  const liked = favourites(state, (row) => { state.put({ seed: row.seed, truncation: row.truncation, label: row.label || "each", pick: 0, mode: "samples" }); draw(); });
  state.like = liked.add;

  function draw() {
    const { facts: f } = state;
    const modes = MODES.filter((key) => !STYLED.includes(key) || f.styles).map((key) => [key, t(`play.mode.${key}`)]);
    fill(side,
      modelField(),
      h("div", { class: "row wrap" }, chip("plain", f.family), chip("plain", `${f.size[0]} x ${f.size[1]}`), chip("plain", t("play.weights", { n: count(f.weights) })), chip("plain", t("play.seen", { n: count(f.images) }))),
      f.classes.length > 0 && field(t("play.class"), select(t("play.class"), [["each", t("play.each")], ...f.classes.map((name, i) => [String(i), name])], state.label, (v) => { state.put({ label: v }); redraw(); })),
      slider(t("play.truncation"), { min: 0.1, max: 1.4, step: 0.05, value: state.truncation, show: (v) => v.toFixed(2), help: t("play.truncationHelp"), oninput: (v) => { state.put({ truncation: v }); redraw(); } }),
      liked.element);
    const area = h("div", { class: "stack" });
    fill(stage, segments(t("play.what"), modes, state.mode, (mode) => { state.put({ mode }); redraw = VIEWS[mode](area, state); redraw(); }), area);
    redraw = VIEWS[state.mode](area, state);
    redraw();
    liked.draw();
  }
  fill(body, h("div", { class: "split play" }, side, stage));
  await chooseModel(state.model);
  return null;
}

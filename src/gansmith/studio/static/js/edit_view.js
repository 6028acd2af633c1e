// Editing a picture along the directions in which a model's pictures change most: of a seed, or of a photograph.
import { address, get, post, postSheet, upload } from "./api.js";
import { button, field, fill, h, iconButton, segments, slider, toast, trouble } from "./dom.js";
import { t } from "./i18n.js";
import { classOf, fileName, guarded, keepButton, seedField } from "./play_views.js";
import { paint, picture } from "./sheet.js";
import { follow } from "./task.js";

const DIRECTIONS = 6;
const FAR = 8;
const GROUPS = ["all", "coarse", "middle", "fine"];

export function edit(area, state) {
  const big = picture(t("edit.picture"), { class: "pixels big" });
  const amounts = (state.amounts || "").split(",").map(Number).map((v) => (Number.isFinite(v) ? Math.max(-FAR, Math.min(FAR, v)) : 0));
  while (amounts.length < DIRECTIONS) amounts.push(0);
  const remember = () => state.put({ amounts: amounts.some(Boolean) ? amounts.map((v) => String(Number(v.toFixed(2)))).join(",") : "" });
  const sliders = amounts.map((value, i) => slider(t("edit.direction", { n: i + 1 }), { min: -FAR, max: FAR, step: 0.25, value, show: (v) => v.toFixed(2), oninput: (v) => { amounts[i] = v; remember(); redraw(); } }));
  const plain = () => { amounts.fill(0); sliders.forEach((one) => one.set(0)); remember(); redraw(); };
  const start = h("div", { class: "stack tight" });
  const known = h("ul", { class: "inverted" });
  const task = h("div");
  const file = h("input", { type: "file", accept: "image/*", hidden: true, "data-role": "invert", onchange: () => { if (file.files[0]) find(file.files[0]); file.value = ""; } });

  function drawStart() {
    fill(start, state.found ? h("p", { class: "help" }, t("edit.ofPhotograph"), " ", button(t("edit.backToSeed"), () => { state.put({ found: "" }); drawStart(); drawKnown(); redraw(); }, { kind: "slim" }))
      : field(t("play.start"), seedField(t("play.start"), state.seed, (v) => { state.put({ seed: v }); redraw(); })));
  }

  /** Photographs whose styles are known. */
  let rows = [];
  function drawKnown() {
    fill(known, rows.map((row) => h("li", { class: "row" }, h("button", { type: "button", class: "choice grow", "aria-pressed": String(row.id === state.found), onclick: () => use(row.id) }, h("img", { src: address("/api/play/inverted/picture", { found: row.id }), alt: t("edit.beforeAfter", { name: row.name }), loading: "lazy" }), h("span", { class: "cut" }, row.name)),
      iconButton(t("edit.forget", { name: row.name }), "trash", async () => { try { await post("/api/play/inverted/forget", { found: row.id }); if (state.found === row.id) { state.put({ found: "" }); drawStart(); redraw(); } await load(); } catch (error) { trouble(error); } }))));
  }
  async function load() {
    rows = await get("/api/play/inverted", { model: state.model });
    if (state.found && !rows.some((row) => row.id === state.found)) { state.put({ found: "" }); drawStart(); redraw(); }
    drawKnown();
  }
  function use(id) {
    state.put({ found: id });
    drawStart();
    drawKnown();
    redraw();
  }

  /** Find the styles of a photograph. */
  async function find(photograph) {
    const { model } = state;
    try {
      const { job } = await upload("/api/upload/picture", { name: photograph.name }, photograph);
      const { id } = await post("/api/play/invert", { model, job, picture: 0 });
      watch(id, model);
    } catch (error) { trouble(error); }
  }
  let stop = () => {};
  const watch = (id, model) => { stop(); stop = follow(task, id, async (result) => { if (state.model !== model || !area.isConnected) return; await load(); use(result.id); toast(t("edit.found")); }); };

  fill(area, h("div", { class: "card walk" }, h("div", { class: "stack" }, big, h("div", { class: "row wrap" }, button(t("edit.plain"), plain, { symbol: "again", kind: "slim" }), keepButton(big, () => fileName(state, state.found ? "edited-photograph" : `edit-seed-${state.seed}`)))),
    h("div", { class: "stack" }, h("p", { class: "help" }, t("edit.help")), start,
      h("div", { class: "field" }, h("span", { class: "label" }, t("edit.layers")), segments(t("edit.layers"), GROUPS.map((g) => [g, t(`edit.group.${g}`)]), state.group, (v) => { state.put({ group: v }); redraw(); })), sliders)),
  h("div", { class: "card stack" }, h("h2", {}, t("edit.photograph")), h("p", { class: "help" }, t("edit.photographHelp")), h("div", {}, button(t("edit.choose"), () => file.click(), { symbol: "upload", kind: "slim" })), file, task, known));
  const redraw = guarded(async () => paint(big, await postSheet("/api/play/edit", { model: state.model, layers: state.group, amounts, truncation: state.truncation, label: classOf(state), ...(state.found ? { found: state.found } : { seed: state.seed }) }), 0));
  drawStart();
  load().catch(trouble);
  get("/api/tasks").then((tasks) => { const mine = tasks.find((row) => row.kind === "invert" && row.about.model === state.model && row.status === "running"); if (mine) watch(mine.id, state.model); }).catch(() => {});
  return redraw;
}

// Pictures that somebody liked, kept with the workspace: a seed, a class and a truncation of a model.
import { get, post, postSheet } from "./api.js";
import { fill, h, iconButton, trouble } from "./dom.js";
import { t } from "./i18n.js";
import { paint, picture } from "./sheet.js";

/** @param {(row) => void} open what a click on one does. */
export function favourites(state, open) {
  const list = h("ul", { class: "favourites" });
  const element = h("div", { class: "stack tight", hidden: true }, h("h2", { class: "label" }, t("play.liked")), list);
  let turn = 0;
  const nameOf = (row) => t(row.label ? "play.likedOne" : "play.likedPlain", { seed: String(row.seed), label: state.facts.classes[Number(row.label)] ?? row.label, truncation: row.truncation.toFixed(2) });

  async function draw() {
    const mine = ++turn;
    const rows = await get("/api/play/favourites", { model: state.model }).catch(() => []);
    if (mine !== turn) return;
    element.hidden = !rows.length;
    const shown = rows.map((row) => picture(nameOf(row)));
    fill(list, rows.map((row, i) => h("li", {}, h("button", { type: "button", "aria-label": nameOf(row), title: nameOf(row), onclick: () => open(row) }, shown[i]),
      iconButton(t("play.unlike", { seed: String(row.seed) }), "close", async () => { try { await post("/api/play/unlike", { model: state.model, ...row }); await draw(); } catch (error) { trouble(error); } }))));
    for (const [i, row] of rows.entries()) { // each may have a class and a truncation of its own
      try { paint(shown[i], await postSheet("/api/play/pictures", { model: state.model, recipes: [{ seed: row.seed }], columns: 1, label: row.label, truncation: row.truncation }), 0); } catch { /* of another version of the model */ }
      if (mine !== turn) return;
    }
  }
  return { element, draw, async add(row) { try { await post("/api/play/like", { model: state.model, ...row }); await draw(); } catch (error) { trouble(error); } } };
}

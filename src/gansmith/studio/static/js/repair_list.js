// The pictures of a batch, and the repairs of this workspace.
import { address, get, post } from "./api.js";
import { ask, chip, fill, h, icon, iconButton, poll, trouble } from "./dom.js";
import { ago, shortName } from "./format.js";
import { t } from "./i18n.js";

/** The address of a repair's picture. */
export const picture = (job, number, side) => address("/api/repair/file", { job, picture: number, side });

const stateOf = (row) => (row.result ? (row.result.reason ? "failed" : "done") : row.masked ? "masked" : "");
const nameOf = (row) => (stateOf(row) ? t("repair.pictureState", { name: row.name, state: t(`repair.state.${stateOf(row)}`) }) : row.name);

/** The pictures of a repair with several, in a row. */
export function strip(job, at, choose, remove) {
  if (job.list.length < 2) return null;
  return h("ul", { class: "strip", "aria-label": t("repair.pictures") }, job.list.map((row, i) => h("li", {},
    h("button", { type: "button", "aria-pressed": String(i === at), "data-number": i, "data-state": stateOf(row), "aria-label": nameOf(row), title: nameOf(row), onclick: () => choose(i) }, h("img", { src: picture(job.id, i, "thumb"), alt: "", loading: "lazy" })),
    remove && iconButton(t("repair.takeOut", { name: row.name }), "close", () => remove(i)))));
}

const mark = (element, row) => { element.dataset.state = stateOf(row); element.setAttribute("aria-label", nameOf(row)); element.title = nameOf(row); };
strip.mark = (stage, number, masked) => { const found = stage.querySelector(`.strip [data-number="${number}"]`); if (found) found.dataset.state = masked ? "masked" : ""; };
strip.update = (stage, job) => { for (const element of stage.querySelectorAll(".strip [data-number]")) mark(element, job.list[element.dataset.number]); };

/** Every repair of the workspace, newest first, with what became of it. */
export function history(open, current, forgotten) {
  const list = h("ul", { class: "history" });
  const element = h("section", { class: "card stack", hidden: true, "aria-label": t("repair.results") }, h("h2", {}, t("repair.results")), list);
  let rows = [];
  let drawn = "";
  const busy = () => rows.some((row) => ["queued", "running"].includes(row.status));

  async function refresh() {
    rows = await get("/api/repairs");
    const text = JSON.stringify([current(), rows.map((row) => ({ ...row, progress: row.progress && Math.round(100 * row.progress.share) }))]);
    if (text === drawn || list.matches(":active")) return;
    drawn = text;
    element.hidden = !rows.length;
    const held = list.contains(document.activeElement) && document.activeElement.dataset.key;
    fill(list, rows.slice(0, 100).map((row) => h("li", { "data-job": row.id, "aria-current": row.id === current() && "true" },
      h("button", { type: "button", class: "result", "data-key": `open-${row.id}`, onclick: () => open(row.id) }, h("img", { src: picture(row.id, 0, "thumb"), alt: "", loading: "lazy" }),
        h("span", { class: "stack" }, h("b", { class: "cut" }, row.pictures > 1 ? t("repair.andMore", { name: row.first, n: row.pictures - 1 }) : row.first), h("span", { class: "small muted cut" }, `${shortName(row.model)} · ${ago(Date.now() / 1000 - row.created)}`)),
        row.status === "running" && row.progress ? chip("running", `${Math.round(100 * row.progress.share)} %`) : chip(row.status, t(`status.${row.status}`))),
      ["queued", "running"].includes(row.status) ? iconButton(t("repair.stopOne", { name: row.first }), "stop", () => act("stop", row))
        : iconButton(t("repair.deleteOne", { name: row.first }), "trash", async () => { if (await ask(t("repair.deleteAsk"), t("repair.deleteText"), { confirm: t("repair.delete"), danger: true })) await act("forget", row); }))));
    if (held) list.querySelector(`[data-key="${held}"]`)?.focus({ preventScroll: true });
  }

  async function act(what, row) {
    try { await post(`/api/repair/${what}`, { job: row.id }); if (what === "forget") forgotten(row.id); await refresh(); } catch (error) { trouble(error); }
  }
  const stop = poll(() => (busy() ? 1.5 : 8), refresh);
  return { element, refresh: () => refresh().catch(() => {}), stop };
}

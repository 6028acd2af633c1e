// Ready models: what the catalogue has, with size and licence; asked before one is fetched, with progress, then used.
import { get, post } from "./api.js";
import { link } from "./address.js";
import { ask, button, chip, fill, h, icon, note, poll, segments, trouble } from "./dom.js";
import { bytes } from "./format.js";
import { t } from "./i18n.js";

const PAGE = { sample: "play" };

/**
 * @param {{tasks?: string[], changed?: (name) => void}} options the tasks that are shown, and what is told once a model has come.
 * @returns {{element, stop}}
 */
export function readyModels({ tasks = ["upscale", "sample", "translate", "repair"], changed = () => {} } = {}) {
  let rows = [];
  let task = "";
  let drawn = "";
  const coming = new Set();
  const list = h("ul", { class: "ready" });
  const filters = h("div");
  const element = h("div", { class: "stack" }, filters, list);

  async function refresh() {
    rows = (await get("/api/catalogue")).filter((row) => tasks.includes(row.task));
    for (const row of rows) {
      const busy = row.fetch && !row.fetch.over;
      if (busy) coming.add(row.name);
      else if (coming.delete(row.name) && row.here) changed(row.name);
    }
    const text = JSON.stringify([task, rows]);
    if (text === drawn || list.matches(":active")) return;
    drawn = text;
    draw();
  }

  function draw() {
    const kinds = tasks.filter((kind) => rows.some((row) => row.task === kind));
    if (kinds.length > 1 && !filters.firstChild) fill(filters, segments(t("ready.tasks"), [["", t("ready.all")], ...kinds.map((kind) => [kind, t(`ready.task.${kind}`)])], task, (next) => { task = next; draw(); }));
    const held = list.contains(document.activeElement) && document.activeElement.dataset.name;
    const rank = (row) => (row.here ? 0 : row.downloads ? 2 : 1); // what can be used at once stands first
    fill(list, rows.filter((row) => !task || row.task === task).sort((a, b) => rank(a) - rank(b)).map(card));
    if (held) list.querySelector(`[data-name="${held}"]`)?.focus({ preventScroll: true });
  }

  function card(row) {
    const page = PAGE[row.task] || "repair";
    const busy = row.fetch && !row.fetch.over;
    const share = busy && row.fetch.total ? row.fetch.done / row.fetch.total : 0;
    const size = row.bytes ? bytes(row.bytes) : t("ready.sizeUnknown");
    return h("li", { class: "card stack tight", "data-model": row.name },
      h("div", { class: "row between" }, h("h3", { class: "grow" }, row.name), row.here ? chip("good", t("ready.here")) : !row.downloads ? chip("good", t("ready.packaged")) : chip("plain", size)),
      h("p", { class: "small" }, row.about),
      !row.built_in && h("p", { class: "small muted" }, t("ready.licence", { licence: row.licence }), " ", !row.commercial && h("b", {}, t("ready.notCommercial")), " ", h("a", { href: row.source, target: "_blank", rel: "noreferrer" }, t("ready.source"))),
      row.needs && !row.here && h("p", { class: "small muted" }, t("ready.needs"), " ", h("code", {}, row.needs)),
      row.fetch?.error && note("bad", "alert", row.fetch.error),
      busy && h("div", { class: "stack tight" }, h("div", { class: `bar ${share ? "" : "waiting"}` }, h("i", { style: { width: `${Math.max(2, 100 * share)}%` } })), h("p", { class: "small muted number", role: "status" }, row.fetch.total ? t("ready.coming", { done: bytes(row.fetch.done), of: bytes(row.fetch.total) }) : t("ready.opening"))),
      h("div", { class: "row wrap" }, row.here ? h("a", { class: "button slim primary", href: link(page, { model: `models/${row.name}` }), "data-name": row.name, "aria-label": t("runs.use", { page: t(`frame.${page}`), name: row.name }) }, icon(page), t(`ready.use.${page}`))
        : !busy && button(row.downloads ? t("ready.get", { size }) : t("ready.take"), () => fetch_(row, size), { kind: "slim", symbol: row.downloads ? "download" : "check", "data-name": row.name, "aria-label": t("ready.getOne", { name: row.name }) })));
  }

  async function fetch_(row, size) {
    const asked = row.downloads ? t("ready.askText", { size, licence: row.licence, allows: row.allows }) : t("ready.takeText", { licence: row.licence, allows: row.allows });
    if (!row.built_in && !await ask(t("ready.ask", { name: row.name }), asked, { confirm: t(row.downloads ? "ready.accept" : "ready.acceptHere") })) return;
    try {
      await post("/api/catalogue/get", { name: row.name, accepted: true });
      coming.add(row.name);
      await refresh();
    } catch (error) { trouble(error); }
  }

  const stop = poll(() => (coming.size ? 0.5 : 15), refresh);
  return { element, stop };
}


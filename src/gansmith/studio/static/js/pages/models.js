// Models: ready ones to fetch, and one's own to measure, export and share.
import { address, get, post } from "../api.js";
import { keep, link } from "../address.js";
import { button, chip, empty, field, fill, h, icon, note, select, toast, trouble } from "../dom.js";
import { ago, count, pageOf, shortName } from "../format.js";
import { number, t } from "../i18n.js";
import { markdown } from "../markdown.js";
import { readyModels } from "../ready.js";
import { follow } from "../task.js";

const READY = "";
const METRICS = ["fid,kid,prdc", "swd"];
const COUNTS = [500, 2000, 10000];
const EXPORTS = ["web", "onnx", "ncnn", "exported"];

export async function open(main, query) {
  const lists = h("div", { class: "card stack" });
  const shown = h("section", { class: "stack", "aria-label": t("models.chosen") });
  let models = [];
  let chosen = query.get("model") || READY;
  let stops = [];
  let left = false;
  const halt = () => { for (const stop of stops) stop(); stops = []; };

  fill(main, h("header", { class: "head" }, h("div", {}, h("h1", {}, t("models.title")), h("p", {}, t("models.about")))), h("div", { class: "split models" }, lists, shown));

  const tile = (id, title, about) => h("button", { type: "button", class: "choice", "data-model": id, "aria-pressed": String(id === chosen), onclick: () => choose(id, true) }, h("b", { class: "cut" }, title), h("span", { class: "cut" }, about));
  function drawLists() {
    fill(lists, tile(READY, t("models.ready"), t("models.readyAbout")), h("h2", {}, t("models.yours")),
      models.length ? h("div", { class: "stack tight" }, models.map((row) => tile(row.id, shortName(row.id), row.family))) : h("p", { class: "small muted" }, t("models.noneYours")));
  }

  async function choose(id, push = false) {
    chosen = id;
    keep({ model: id }, { push });
    for (const element of lists.querySelectorAll("[data-model]")) element.setAttribute("aria-pressed", String(element.dataset.model === id));
    halt();
    if (push && innerWidth < 1000) shown.scrollIntoView({ behavior: "smooth" });
    if (id === READY) {
      const ready = readyModels({ changed: async (name) => { models = await get("/api/models"); drawLists(); toast(t("ready.arrived", { name })); } });
      stops.push(ready.stop);
      fill(shown, ready.element);
      return;
    }
    fill(shown, h("div", { class: "card" }, h("div", { class: "bar waiting" }, h("i"))));
    let facts;
    try { facts = await get("/api/model", { model: id }); } catch (error) { facts = error; }
    if (chosen !== id || left) return; // another one was chosen while this came
    if (facts instanceof Error) { fill(shown, h("div", { class: "card" }, empty("alert", t("repair.cannot"), facts.message))); return; }
    const row = models.find((other) => other.id === id) || { id, family: facts.family, translates: facts.translates };
    fill(shown, about(row, facts), measuring(row), exporting(row, facts), sharing(row));
  }

  const about = (row, facts) => h("div", { class: "card stack" }, h("div", { class: "row between wrap" }, h("h2", { class: "cut" }, shortName(row.id)), h("a", { class: "button primary slim", href: link(pageOf(row), { model: row.id }) }, icon(pageOf(row)), t(`frame.${pageOf(row)}`))),
    h("div", { class: "row wrap" }, chip("plain", facts.family), chip("plain", `${facts.size[0]} x ${facts.size[1]}`), facts.classes.length > 0 && chip("plain", t("models.classes", { n: facts.classes.length })), chip("plain", t("play.weights", { n: count(facts.weights) })), facts.images > 0 && chip("plain", t("play.seen", { n: count(facts.images) }))));

  /** Scores against real pictures. */
  function measuring(row) {
    const found = h("div", { class: "stack tight" });
    const state = h("div", { class: "stack tight" });
    const data = h("input", { class: "input", autocomplete: "off", spellcheck: false, "aria-label": t("models.real"), placeholder: t("new.dataHint") });
    const other = h("input", { class: "input", autocomplete: "off", spellcheck: false, "aria-label": t("new.sideB"), placeholder: t("models.otherHint"), hidden: !row.translates });
    let n = "2000";
    let [metrics] = METRICS;
    const go = button(t("models.measure"), start, { symbol: "check" });
    async function start() {
      go.disabled = true;
      try {
        const { id } = await post("/api/model/evaluate", { model: row.id, data: [data.value.trim(), other.value.trim()].filter(Boolean), n: Number(n), metrics });
        stops.push(follow(state, id, () => show().catch(trouble)));
      } catch (error) { fill(state, note("bad", "alert", error.message)); }
      go.disabled = false;
    }
    async function show() {
      const kept = await get("/api/model/scores", { model: row.id });
      if (kept) fill(found, table(kept), h("p", { class: "small muted" }, t("models.measured", { n: number(kept.n), data: kept.data.join(" "), when: ago(Date.now() / 1000 - kept.when) })));
      if (kept && !data.value) [data.value, other.value] = [kept.data[0] || "", kept.data[1] || ""];
    }
    show().catch(trouble);
    get("/api/run", { id: row.id }).then((run) => { if (!data.value) [data.value, other.value] = [run.data_spec?.[0] || "", run.data_spec?.[1] || ""]; }).catch(() => {}); // of a model that was fetched nobody knows the data
    get("/api/tasks").then((tasks) => { const mine = tasks.find((task) => task.kind === "evaluate" && task.about.model === row.id); if (["running", "failed"].includes(mine?.status)) stops.push(follow(state, mine.id, () => show().catch(trouble))); }).catch(() => {});
    return h("div", { class: "card stack" }, h("h2", {}, t("models.scores")), h("p", { class: "help" }, t(row.translates ? "models.scoresRepair" : "models.scoresText")), found,
      h("div", { class: "row wrap end" }, h("div", { class: "grow" }, field(t("models.real"), h("div", { class: "row" }, data, other))), !row.translates && field(t("models.what"), select(t("models.what"), METRICS.map((m) => [m, t(`models.metrics.${m.split(",")[0]}`)]), metrics, (v) => { metrics = v; })), field(t("models.howMany"), select(t("models.howMany"), COUNTS.map((c) => [String(c), number(c)]), n, (v) => { n = v; })), go), state);
  }

  /** Of a generator a line per score with the floor that real pictures reach; of a repair a line per method. */
  function table({ found }) {
    const rows = Array.isArray(found.scores);
    const digits = (v) => (v === null || v === undefined ? "-" : String(Number(v.toPrecision(4))));
    const names = rows ? [t("models.value"), t("models.floor"), t("models.better")] : [...new Set(Object.values(found.scores).flatMap((values) => Object.keys(values)))];
    const body = rows ? found.scores.map((s) => [s.name, [digits(s.value), digits(s.floor), t(`models.${s.better}`)]]) : Object.entries(found.scores).map(([name, values]) => [name, names.map((key) => digits(values[key]))]);
    return h("div", { class: "scroll" }, h("table", { class: "table" }, h("thead", {}, h("tr", {}, h("th", {}, t(rows ? "models.score" : "models.method")), names.map((name) => h("th", { class: "right", scope: "col" }, name)))),
      h("tbody", {}, body.map(([name, cells]) => h("tr", { class: name === "model" ? "strong" : "" }, h("th", { scope: "row" }, name === "model" ? t("models.thisModel") : name), cells.map((cell) => h("td", { class: "right" }, cell)))))));
  }

  /** For other programs: each is compared with the model before it is offered. */
  function exporting(row, facts) {
    const state = h("div", { class: "stack tight" });
    let direction = facts.directions[0] || "ab";
    const begin = async (to) => {
      try {
        const { id } = await post("/api/model/export", { model: row.id, to, direction });
        stops.push(follow(state, id, (result) => {
          if (!result.passed) { fill(state, note("bad", "alert", t("models.exportWrong"))); return; }
          const worst = Math.max(...result.checks.map((check) => check.difference));
          fill(state, note("good", "check", t("models.exported", { format: t(`models.format.${to}`), difference: worst.toExponential(0) }), " ", h("a", { class: "button slim", href: address("/api/model/exported", { id }), download: true }, icon("download"), t("repair.download"))));
        }));
      } catch (error) { fill(state, note("bad", "alert", error.message)); }
    };
    return h("div", { class: "card stack" }, h("h2", {}, t("models.export")), h("p", { class: "help" }, t("models.exportText")),
      facts.directions.length > 1 && field(t("repair.direction"), select(t("repair.direction"), facts.directions.map((d) => [d, t(`repair.${d}`)]), direction, (v) => { direction = v; })),
      h("ul", { class: "formats" }, EXPORTS.filter((to) => to !== "ncnn" || facts.scale > 1).map((to) => h("li", {}, button(t(`models.format.${to}`), () => begin(to), { kind: "slim", symbol: "download" }), h("span", { class: "small muted" }, t(`models.for.${to}`)))),
        h("li", {}, h("a", { class: "button slim", href: address("/api/model/folder", { model: row.id }), download: true }, icon("folder"), t("models.format.folder")), h("span", { class: "small muted" }, t("models.for.folder")))), state);
  }

  /** The card, as others will read it, and how it gets to the Hub. */
  function sharing(row) {
    const body = h("div", { class: "stack" });
    const box = h("details", { class: "card", ontoggle: async () => {
      if (!box.open || body.firstChild) return;
      try {
        const card = await get("/api/model/card", { model: row.id });
        const line = h("code", { class: "command" }, card.command);
        fill(body, h("p", { class: "help" }, t("models.cardText")), h("div", { class: "row" }, line, button(t("watch.copy"), async () => { try { await navigator.clipboard.writeText(card.command); toast(t("watch.copied")); } catch { getSelection().selectAllChildren(line); } }, { kind: "slim", symbol: "copy" })),
          markdown(card.text, null), card.facts && h("pre", { class: "console", tabIndex: 0, "aria-label": t("models.cardFacts") }, card.facts));
      } catch (error) { fill(body, note("bad", "alert", error.message)); }
    } }, h("summary", {}, t("models.card")), body);
    return box;
  }

  models = await get("/api/models");
  if (left) return null;
  drawLists();
  await choose(chosen);
  return () => { left = true; halt(); };
}

// Some runs side by side: curves, samples at the same number of images seen, what was set differently.
import { address, get } from "./api.js";
import { keep, link } from "./address.js";
import { colour } from "./chart.js";
import { Curves, fullNameOf, measures, unitOf } from "./curves.js";
import { fill, h, icon, iconButton, select, slider, toast, trouble } from "./dom.js";
import { shown } from "./form.js";
import { count, duration, shortName, spoken } from "./format.js";
import { t } from "./i18n.js";
import { gridOf } from "./samples.js";

const SKIPPED = new Set(["out", "resume", "snapshots", "save_minutes", "log_images", "images", "steps", "minutes"]);

/** @returns {{show(runs, note), forget(ids), follow(runs)}} */
export function compareRuns(place, query) {
  const curves = new Curves(query);
  curves.comparing = true;
  let charts = (query.get("charts") || "").split(",").filter(Boolean);
  let at = query.get("at") === null ? null : Number(query.get("at"));
  let turn = 0;
  let rows = []; // {run, details, log}
  const asking = new Set(); // requests about runs that are not answered yet
  /** What the server knows of a run now. */
  function load(run) {
    const answer = Promise.all([get("/api/run", { id: run.id }), get("/api/run/log", { id: run.id })]);
    asking.add(answer);
    answer.catch(() => {}).finally(() => asking.delete(answer));
    return answer;
  }
  const known = new Map();
  const fieldsOf = async (family) => { if (!known.has(family)) known.set(family, get("/api/family", { name: family }).then((f) => new Map([...f.run, ...f.family].map((field) => [field.name, field]))).catch(() => new Map())); return known.get(family); };

  const names = () => [...new Set(rows.flatMap(({ log }) => measures(log.records)))];
  function usual() {
    const all = names();
    const first = all.find((n) => unitOf(n).startsWith("score"));
    return [first, ...all.filter((n) => unitOf(n) === "losses").slice(0, 2), all.includes("diversity") && "diversity"].filter(Boolean).slice(0, 3);
  }

  function drawCurves() {
    const all = names();
    const wanted = charts.filter((n) => all.includes(n));
    curves.show(rows.map(({ run, log }, i) => ({ name: shortName(run.id), records: log.records, colour: i })), (wanted.length ? wanted : usual()).map((n) => [n]), { remove: (name) => choose((wanted.length ? wanted : usual()).filter((n) => n !== name)) });
  }
  function choose(next) { charts = next; keep({ charts: next.join(",") }); drawCurves(); drawPicker(); }
  const picker = h("div", { class: "measure" });
  function drawPicker() {
    const on = [...curves.charts.keys()];
    const rest = names().filter((n) => !on.includes(n));
    fill(picker, rest.length > 0 && select(t("runs.addChart"), [["", t("runs.addChart")], ...rest.map((n) => [n, fullNameOf(n)])], "", (n) => n && choose([...on, n])));
  }

  /** The grid of a run at a number of images seen: the last one up to there. */
  const gridAt = (grids, images) => grids.filter((g) => images === null || g <= images).at(-1) ?? grids[0];
  const samples = h("div", { class: "side-by-side" });
  const moment = h("div", { class: "grow" });
  function drawSamples() {
    const marks = [...new Set(rows.flatMap(({ details }) => details.grids))].sort((a, b) => a - b);
    if (!moment.dataset.marks || moment.dataset.marks !== marks.join()) {
      moment.dataset.marks = marks.join();
      const nearest = at === null ? marks.length - 1 : Math.max(0, marks.filter((m) => m <= at).length - 1);
      fill(moment, marks.length > 1 && slider(t("runs.at"), { min: 0, max: marks.length - 1, step: 1, value: nearest, show: (i) => (i === marks.length - 1 ? t("runs.latest") : t("samples.images", { n: count(marks[i]) })),
        oninput: (i) => { at = i === marks.length - 1 ? null : marks[i]; keep({ at: at === null ? "" : at }); drawPictures(); } }));
    }
    drawPictures();
  }
  function drawPictures() {
    fill(samples, rows.map(({ run, details }, i) => {
      const grid = gridAt(details.grids, at);
      return h("figure", {}, h("figcaption", { class: "row" }, h("i", { class: "dot", style: { background: colour(i) } }), h("a", { class: "name cut", href: link("train", { run: run.id }) }, shortName(run.id)), h("span", { class: "small muted number" }, grid === undefined ? "" : count(grid)),
        h("a", { class: "button quiet only", href: link("train", { like: run.id }), title: t("watch.like"), "aria-label": t("runs.like", { name: shortName(run.id) }) }, icon("again")), iconButton(t("runs.copy", { name: shortName(run.id) }), "copy", () => copy(run))),
      grid === undefined ? h("p", { class: "muted small" }, t("runs.noSamples")) : h("img", { class: "pixels", loading: "lazy", src: gridOf(run.id, grid), alt: t("runs.samplesOf", { name: shortName(run.id) }) }));
    }));
  }
  async function copy(run) {
    try {
      const { command } = await get("/api/train/like", { run: run.id });
      await navigator.clipboard.writeText(command);
      toast(t("runs.copied", { command }));
    } catch (error) { trouble(error); }
  }

  const differ = h("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": t("runs.differs") });
  async function drawDifferences() {
    const mine = turn;
    const fields = await Promise.all(rows.map(({ run }) => fieldsOf(run.family)));
    if (mine !== turn) return;
    fill(differ, differences(rows.map(({ details }) => details), fields));
  }

  return {
    async show(runs, note) {
      const mine = ++turn;
      if (!runs.length) { rows = []; fill(place); return; }
      let found;
      try { found = await Promise.all(runs.map(async (run) => { const [details, log] = await load(run); return { run, details, log }; })); } catch (error) { trouble(error); return; }
      if (mine !== turn) return;
      rows = found;
      drawCurves();
      drawPicker();
      drawSamples();
      fill(place, note && h("p", { class: "muted small" }, note),
        h("div", { class: "card stack" }, h("div", { class: "row between wrap" }, h("h2", {}, t("watch.curves")), picker), curves.bar, curves.place),
        h("div", { class: "card stack" }, h("div", { class: "row between wrap" }, h("h2", {}, t("samples.title")), moment), samples),
        h("div", { class: "card stack" }, h("h2", {}, t("runs.differs")), differ));
      await drawDifferences();
    },
    /** Runs that are about to be renamed or deleted: nothing of them is asked for any more, once this is done. */
    async forget(ids) {
      turn += 1;
      rows = rows.filter(({ run }) => !ids.includes(run.id));
      drawPictures();
      await Promise.allSettled([...asking]);
    },
    /** What still trains goes on growing. */
    async follow(runs) {
      const mine = turn;
      let grown = false;
      for (const row of rows) {
        const now = runs.find((other) => other.id === row.run.id);
        if (!now || (now.images === row.run.images && now.grid === row.run.grid && now.status === row.run.status)) continue;
        const [details, log] = await load(now);
        if (mine !== turn) return;
        Object.assign(row, { run: now, details, log });
        grown = true;
      }
      if (grown) { drawCurves(); drawSamples(); }
    },
  };
}

/** A table of the numbers, and of every setting that is not the same in all. */
function differences(runs, fields) {
  const goal = (run) => (run.train.minutes ? t("format.minutes", { n: run.train.minutes }) : run.train.images ? t("samples.images", { n: count(run.train.images) }) : run.train.steps ? t("runs.steps", { n: run.train.steps }) : "-");
  const facts = [
    [t("new.family"), (run) => run.family], [t("new.data"), (run) => (run.data_spec || [run.data]).join(" ")], [t("data.stat.pictures"), (run) => run.pictures], [t("data.stat.size"), (run) => `${run.size[0]} x ${run.size[1]}`],
    ...[...new Set(runs.flatMap((run) => Object.keys(run.scores)))].map((key) => [key.replace(/^score\//, ""), (run) => run.scores[key]]),
    [t("watch.seen"), (run) => run.images || null, true], [t("watch.time"), (run) => (run.seconds ? duration(run.seconds) : null), true], [t("new.howLong"), goal],
    ...["device", "precision"].map((key) => [spoken(key), (run) => run.facts[key]]), [spoken("batch"), (run) => run.facts.batch],
  ].map(([name, of, always]) => [name, runs.map((run) => shown(null, of(run))), always]);
  const settings = [...new Set(runs.flatMap((run) => Object.keys({ ...run.train, ...run.settings })))].filter((name) => !SKIPPED.has(name) && name !== "data" && name !== "batch")
    .map((name) => [spoken(name), runs.map((run, i) => shown(fields[i].get(name), { ...run.train, ...run.settings }[name])), false, name]);
  const rows = [...facts, ...settings].filter(([, values, always]) => always || new Set(values).size > 1);
  return h("table", { class: "table" }, h("thead", {}, h("tr", {}, h("th", {}, h("span", { class: "visually-hidden" }, t("watch.settings"))), runs.map((run) => h("th", { scope: "col" }, shortName(run.id))))),
    h("tbody", {}, rows.map(([name, values, , key]) => h("tr", { "data-name": key }, h("th", { scope: "row", class: "muted" }, name), values.map((value) => h("td", { class: "number" }, value))))));
}

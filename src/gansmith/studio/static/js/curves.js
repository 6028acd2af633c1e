// Several charts of one or more runs: which curves there are, by what they measure, with one set of switches for all.
import { keep, numeric } from "./address.js";
import { Chart } from "./chart.js";
import { button, fill, h, save, segments, slider } from "./dom.js";
import { t, tOr } from "./i18n.js";

const PLAIN = new Set(["images", "step", "progress", "seconds", "health"]);
const JUDGED = /^(real|fake|distance)$/;
const SIGNS = /^sign_/;
const PENALTIES = /^(penalty|r1|r2)$/;
const PARTS = /^(adversarial|pixels|perceptual|identity|cycle|nce|nce_identity)$/;
const SHARES = /^(diversity|spread|churn|memorising|augment_p|believable|covered|copies)$/;

/** What a curve measures; curves of one unit share a chart. */
export function unitOf(name) {
  if (name.startsWith("loss/")) return "losses";
  if (name === "images_per_second") return "speed";
  if (/^(score|metric|eval)\/|\[/.test(name)) return `score:${name}`;
  if (name === "classes_missing") return "classes";
  if (SHARES.test(name)) return "vital";
  if (SIGNS.test(name)) return "signs";
  if (PENALTIES.test(name)) return "penalties";
  if (PARTS.test(name)) return "parts";
  return JUDGED.test(name) ? "judged" : `other:${name}`;
}

/** Every curve that some records have, the losses first. */
export function measures(records) {
  const names = new Set(records.flatMap((r) => Object.keys(r)));
  const order = ["losses", "score", "vital", "judged", "signs", "parts", "penalties", "classes", "other", "speed"];
  return [...names].filter((n) => !PLAIN.has(n) && records.some((r) => typeof r[n] === "number"))
    .sort((a, b) => order.indexOf(unitOf(a).split(":")[0]) - order.indexOf(unitOf(b).split(":")[0]));
}

/** What a curve is called; a measure of a family of one's own, as the log has it. */
export function nameOf(measure) {
  const plain = measure.replace(/^(loss|score|metric|eval)\//, "");
  return tOr(`measure.${plain}`, plain.replaceAll("_", " "));
}
/** The same where it stands alone: real pictures have a logit and a sign. */
export const fullNameOf = (measure) => (["judged", "signs", "parts"].includes(unitOf(measure)) ? `${t(`curves.${unitOf(measure)}`)}: ${nameOf(measure)}` : nameOf(measure));
export const titleOf = (unit) => (unit.includes(":") ? nameOf(unit.slice(unit.indexOf(":") + 1)) : t(`curves.${unit}`));
const pointsOf = (records, measure, x) => records.filter((r) => typeof r[measure] === "number" && typeof r[x] === "number").map((r) => [r[x], r[measure]]);

/** Smoothing, axes and CSV for all charts of a page, kept in the address. */
export class Curves {
  constructor(query) {
    this.options = { strength: numeric(query, "smooth", 0.2, 0, 1), log: query.get("log") === "1", x: query.get("x") === "seconds" ? "seconds" : "images" };
    this.charts = new Map();
    this.runs = [];
    this.place = h("div", { class: "charts" });
    this.bar = h("div", { class: "row wrap chart-bar" },
      slider(t("curves.smoothing"), { min: 0, max: 1, step: 0.05, value: this.options.strength, show: (v) => (v ? v.toFixed(2) : t("form.off")), oninput: (v) => this.change({ strength: v }) }),
      segments(t("curves.axis"), [["images", t("curves.images")], ["seconds", t("curves.time")]], this.options.x, (v) => this.change({ x: v })),
      h("label", { class: "switch" }, h("input", { type: "checkbox", role: "switch", checked: this.options.log, onchange: (event) => this.change({ log: event.target.checked }) }), t("curves.log")),
      button(t("curves.csv"), () => this.save(), { kind: "slim quiet", symbol: "download" }));
  }

  change(options) {
    Object.assign(this.options, options);
    keep({ smooth: this.options.strength === 0.2 ? "" : String(this.options.strength), log: this.options.log, x: this.options.x === "images" ? "" : this.options.x });
    this.draw();
  }

  /**
   * @param {{name: string, records: object[]}[]} runs
   * @param {string[][]} charts for each chart the measures that it shows.
   */
  show(runs, charts, { remove = null } = {}) {
    this.runs = runs;
    this.shown = charts;
    const keys = charts.map((names) => names.join());
    if (keys.join(";") !== [...this.charts.keys()].join(";")) {
      const old = this.charts;
      this.charts = new Map(charts.map((names) => [names.join(), old.get(names.join()) || this.make(names, remove)]));
      fill(this.place, [...this.charts.values()].map(({ card }) => card));
    }
    this.draw();
  }

  make(names, remove) {
    const unit = unitOf(names[0]);
    const chart = new Chart(t("curves.over", { what: titleOf(unit) }), { height: 214, unit: tOr(`curves.unit.${unit.split(":")[0]}`, "") });
    const card = h("section", { class: "chart-card" }, h("div", { class: "row between" }, h("h3", {}, this.runs.length > 1 || remove ? fullNameOf(names[0]) : titleOf(unit)),
      remove && h("button", { type: "button", class: "button quiet slim", onclick: () => remove(names[0]), "aria-label": t("curves.remove", { what: fullNameOf(names[0]) }) }, "×")), !remove && tOr(`curves.help.${unit}`, "") && h("p", { class: "help" }, t(`curves.help.${unit}`)), chart.element);
    return { chart, card };
  }

  draw() {
    const several = this.runs.length > 1 || this.comparing;
    for (const [key, { chart }] of this.charts) {
      const names = key.split(",");
      chart.look(this.options);
      chart.set(several ? this.runs.map((run, i) => ({ name: run.name, points: pointsOf(run.records, names[0], this.options.x), colour: run.colour ?? i }))
        : names.map((name) => ({ name: nameOf(name), points: pointsOf(this.runs[0]?.records || [], name, this.options.x) })));
    }
  }

  /** Every number of the logs that are shown, as a table for other programs. */
  save() {
    const names = [...new Set(this.runs.flatMap((run) => measures(run.records)))];
    const cell = (value) => (value === undefined || value === null ? "" : /[",\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : value);
    const head = ["run", "images", "step", "seconds", ...names];
    const rows = this.runs.flatMap((run) => run.records.map((r) => [run.name, r.images, r.step, r.seconds, ...names.map((n) => r[n])]));
    save(new Blob([[head, ...rows].map((row) => row.map(cell).join(",")).join("\n")], { type: "text/csv" }), `${this.runs.length === 1 ? this.runs[0].name.replaceAll("/", "-") : "gansmith-runs"}.csv`);
  }
}

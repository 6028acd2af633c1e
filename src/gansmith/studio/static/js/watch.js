// Watching a run: progress, what the coach says, samples over time, curves, its settings, its report.
import { address, get, post } from "./api.js";
import { link } from "./address.js";
import { cureButtons } from "./cures.js";
import { Curves, measures, unitOf } from "./curves.js";
import { ask, button, chip, empty, fill, h, icon, note, poll, toast, trouble } from "./dom.js";
import { shown } from "./form.js";
import { count, duration, labelled, pageOf, shortName } from "./format.js";
import { t } from "./i18n.js";
import { markdown } from "./markdown.js";
import { sampleWall } from "./samples.js";

/** Seconds between looks at a run: often while it is young; a long one must not pay for being watched. */
const pace = (run) => (run ? Math.min(10, Math.max(2, run.seconds / 40)) : 2);

/** Show a run in an element and keep it fresh. Returns how to stop. */
export function watch(place, id, query, { changed, started } = {}) {
  let log = { generation: -1, total: 0, records: [] };
  let run = null;
  let stopped = false;
  const title = h("h2", { class: "cut", title: shortName(id) }, shortName(id));
  const state = h("span");
  const actions = h("div", { class: "row wrap" });
  const bar = h("i");
  const stats = h("dl", { class: "stats" });
  const coach = h("div", { class: "stack tight", "data-role": "coach" });
  const curves = new Curves(query);
  const curvesCard = h("div", { class: "card stack" }, h("div", { class: "row between wrap" }, h("h2", {}, t("watch.curves")), curves.bar), curves.place);
  const wall = sampleWall(id);
  const settings = h("details", { class: "card", hidden: true });
  const report = h("div", { class: "card stack report", hidden: true });
  const consoleText = h("pre", { class: "console", tabIndex: 0, "aria-label": t("watch.printed") });
  const consoleBox = h("details", { class: "card", hidden: true, ontoggle: () => printed() }, h("summary", {}, t("watch.printed")), consoleText);
  const waiting = h("div", { hidden: true });
  const details = [h("div", { class: "stack" }, h("div", { class: "bar" }, bar), stats, coach), wall.element, curvesCard];
  fill(place,
    h("div", { class: "card stack" }, h("div", { class: "row between wrap" }, h("div", { class: "row grow run-title" }, title, state), actions), details[0], waiting),
    details.slice(1), settings, report, consoleBox);

  const act = async (path, body, text) => {
    try { await post(path, body); toast(text); changed?.(); await refresh(true); } catch (error) { trouble(error); }
  };
  /** Another run with these settings and a change that an error or the coach proposes. */
  const again = (asked) => async (cure) => {
    try { started?.(await post("/api/train/again", { ...asked, set: cure.set || {}, family: cure.family || "" })); } catch (error) { trouble(error); }
  };

  function head() {
    fill(state, chip(run.status, t(`status.${run.status}`)));
    bar.style.width = `${100 * run.progress}%`;
    bar.parentElement.classList.toggle("waiting", run.status === "queued" || (run.status === "running" && !run.progress));
    const stat = (name, value, unit) => h("div", {}, h("dt", {}, name), h("dd", {}, value, unit && h("small", {}, ` ${unit}`)));
    const begun = run.images > 0;
    fill(stats, stat(t("watch.done"), begun ? `${Math.floor(100 * run.progress)}` : "-", begun && "%"), stat(t("watch.seen"), begun ? count(run.images) : "-"),
      stat(t("watch.speed"), run.speed ? count(Math.round(run.speed)) : "-", run.speed > 0 && t("watch.perSecond")),
      stat(t("watch.time"), run.seconds ? duration(run.seconds) : "-"), run.status === "running" && stat(t("watch.left"), duration(run.left)),
      Object.entries(run.scores).slice(0, 2).map(([name, value]) => stat(name.replace(/^score\//, ""), Number(value.toPrecision(3)))));
    const live = run.status === "running";
    const offered = [run.status, run.job, run.has_model].join(); // drawn again only when it changes: a click takes a moment
    if (offered !== actions.dataset.offered) fill(actions,
      run.job && (live || run.status === "queued") && button(t(live ? "watch.stop" : "watch.remove"), () => act("/api/jobs/stop", { job: run.job }, t(live ? "watch.stops" : "watch.removed")), { symbol: "stop", kind: "slim" }),
      !live && ["stopped", "diverged"].includes(run.status) && button(t("watch.resume"), () => act("/api/resume", { run: id }, t("watch.goesOn")), { symbol: "start", kind: "slim" }),
      run.status === "finished" && button(t("watch.longer"), () => longer(), { symbol: "start", kind: "slim" }),
      h("a", { class: "button slim", href: link("train", { like: id }) }, icon("again"), t("watch.like")),
      run.has_model && h("a", { class: "button slim", href: link(pageOf(run), { model: run.id }) }, icon(pageOf(run)), t(`frame.${pageOf(run)}`)),
      run.has_model && h("a", { class: "button slim", href: link("models", { model: run.id }) }, icon("models"), t("watch.measure")));
    actions.dataset.offered = offered;
    drawCoach(live);
  }

  /** What is wrong, or was; the same that the report says, since both come from the run's own list. */
  function drawCoach(live) {
    const rows = [];
    if (run.status === "diverged") rows.push(note("bad", "alert", t("watch.diverged"), cureButtons([{ set: { clip_grad: 1 } }], again({ run: id }), "cure.again")));
    if (run.failure && run.status !== "running") rows.push(note("bad", "alert", run.failure, cureButtons(run.cures, again(run.job ? { job: run.job } : { run: id }), "cure.again")));
    for (const found of run.coach) rows.push(note(found.now || !live ? "warn" : "", "alert", h("b", {}, t("watch.coach"), " "), found.headline, " ",
      h("span", { class: "muted" }, t(found.now ? "watch.since" : live ? "watch.earlier" : "watch.gone", { n: count(found.images) })), found.advice && live && h("p", {}, found.advice), !live && cureButtons(found.cures, again({ run: id }), "cure.again")));
    if (!rows.length && run.images > 0) rows.push(note("", "heart", h("b", {}, t("watch.coach"), " "), t(live ? "watch.fine" : "watch.wasFine")));
    const text = JSON.stringify([run.status, run.failure, run.coach, run.images > 0]);
    if (coach.dataset.text === text) return;
    coach.dataset.text = text;
    fill(coach, rows);
  }

  /** What the report advises last, as a button. */
  function nextStep({ goal, amount, ...cure }) {
    if (!goal) return cureButtons([cure], again({ run: id }), "cure.again");
    const what = goal === "minutes" ? t("format.minutes", { n: amount }) : goal === "images" ? t("samples.images", { n: count(amount) }) : t("runs.steps", { n: amount });
    return button(t("watch.upTo", { what }), () => act("/api/resume", { run: id, goal, amount }, t("watch.goesOn")), { kind: "slim", symbol: "start" });
  }

  async function longer() {
    const minutes = await ask(t("watch.longer"), t("watch.longerText"), { confirm: t("watch.goOn"), value: String(Math.ceil(run.seconds / 60) * 2) });
    if (minutes) await act("/api/resume", { run: id, goal: "minutes", amount: Number(minutes) }, t("watch.goesOn"));
  }

  function draw() {
    const groups = new Map();
    for (const name of measures(log.records)) groups.set(unitOf(name), [...(groups.get(unitOf(name)) || []), name]);
    if (!groups.has("losses")) groups.set("losses", ["loss/generator"]);
    curves.show([{ name: shortName(id), records: log.records }], [...groups.values()]);
  }

  /** What it was started with, in words instead of 0 and -1; and the command for a terminal. */
  async function drawSettings() {
    if (settings.dataset.of === run.id) return;
    settings.dataset.of = run.id;
    let made;
    let family;
    try { [made, family] = await Promise.all([get("/api/train/like", { run: id }), get("/api/family", { name: run.family })]); } catch { return; } // of a family that is not here
    const fields = new Map([...family.run, ...family.family].map((f) => [f.name, f]));
    const rows = Object.entries({ ...run.train, ...run.settings }).filter(([name]) => fields.has(name));
    const changed_ = (name) => name in made.run || name in made.family;
    const line = h("code", { class: "command" }, made.command);
    settings.hidden = false;
    fill(settings, h("summary", {}, t("watch.settings"), h("span", { class: "muted small" }, t("watch.changed", { n: rows.filter(([name]) => changed_(name)).length }))),
      h("div", { class: "stack" }, h("div", { class: "row" }, line, button(t("watch.copy"), async () => { try { await navigator.clipboard.writeText(made.command); toast(t("watch.copied")); } catch { getSelection().selectAllChildren(line); } }, { kind: "slim", symbol: "copy" })),
        h("div", { class: "scroll" }, h("table", { class: "table" }, h("tbody", {}, rows.sort(([a], [b]) => changed_(b) - changed_(a)).map(([name, value]) => h("tr", { class: changed_(name) ? "strong" : "" }, h("td", {}, labelled(name)), h("td", {}, name === "batch" && !value ? t("watch.resolved", { value: run.facts.batch }) : shown(fields.get(name), value)))))))));
  }

  async function printed() {
    if (consoleBox.open && run?.job) consoleText.textContent = (await get("/api/jobs/console", { job: run.job })).text;
  }

  function drawWaiting(job) {
    const bad = job.status === "failed";
    const text = t(job.status === "queued" ? "watch.queued" : job.status === "running" ? "watch.begins" : "watch.never");
    fill(state, chip(job.status, t(`status.${job.status}`)));
    if (waiting.dataset.text === JSON.stringify(job)) return;
    waiting.dataset.text = JSON.stringify(job);
    fill(waiting, bad ? note("bad", "alert", job.reason, cureButtons(job.cures, again({ job: job.id }), "cure.again")) : empty("train", text, job.status === "running" ? t("watch.beginsText") : ""));
  }

  async function refresh(whole) {
    let fresh;
    try { fresh = await get("/api/run/log", { id, generation: log.generation, after: log.total }); } catch (error) {
      if (error.status === 404 && !stopped) {
        end();
        fill(place, h("div", { class: "card" }, empty("train", t("watch.notHere", { name: shortName(id) }), t("watch.notHereText"), h("a", { class: "button", href: "#/runs" }, icon("runs"), t("frame.runs")))));
      }
      throw error;
    }
    if (stopped) return;
    waiting.hidden = !fresh.waiting;
    for (const card of details) card.hidden = Boolean(fresh.waiting);
    if (fresh.waiting) { drawWaiting(fresh.waiting); return; }
    const new_ = fresh.whole || fresh.records.length;
    log = { generation: fresh.generation, total: fresh.total, records: fresh.whole ? fresh.records : log.records.concat(fresh.records) };
    wall.set(fresh.grids);
    if (new_ || whole || !run || run.status !== "finished") {
      run = await get("/api/run", { id });
      if (stopped) return;
      head();
      wall.film(run.film);
      wall.label(run.columns);
      drawSettings();
      report.hidden = !run.report;
      if (run.report && report.dataset.text !== String(run.report.length)) {
        report.dataset.text = run.report.length;
        fill(report, h("h2", {}, t("watch.report")), run.next && run.status !== "running" && h("div", { class: "row wrap" }, h("span", { class: "small" }, t("watch.next")), nextStep(run.next)), markdown(run.report, (name) => address("/api/run/file", { id, name })));
      }
    }
    if (new_ || whole) draw();
    if (run.job) {
      consoleBox.hidden = false;
      await printed();
    }
  }

  const end = poll(() => pace(run), () => refresh(false));
  return () => { stopped = true; end(); };
}

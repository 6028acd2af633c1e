// Watching a run: progress, curves, the sample wall with its time slider, the coach.
import { address, get, post } from "./api.js";
import { Chart } from "./chart.js";
import { button, chip, count, duration, empty, fill, h, icon, iconButton, note, poll, shortName, slider, toast, useOf } from "./dom.js";
import { markdown } from "./markdown.js";

/** Seconds between looks at a run: often while it is young; a long one must not pay for being watched. */
const pace = (run) => (run ? Math.min(10, Math.max(2, run.seconds / 40)) : 2);
const JUDGED = /^(real|fake|sign_|distance|penalty|r1|r2)/;
const PLAIN = new Set(["images", "step", "progress", "seconds", "images_per_second", "health"]);

/** The curves that a log has, in groups. */
export function curves(records) {
  const names = new Set(records.flatMap((r) => Object.keys(r)));
  const losses = [...names].filter((n) => n.startsWith("loss/"));
  const speed = ["images_per_second"];
  const rest = [...names].filter((n) => !PLAIN.has(n) && !n.startsWith("loss/") && records.some((r) => typeof r[n] === "number"));
  const judged = rest.filter((n) => JUDGED.test(n));
  return { losses, speed, rest, judged, vital: rest.filter((n) => !JUDGED.test(n)) };
}

export const series = (records, names) => names.map((name) => ({
  name: name === "images_per_second" ? "images/s" : name.replace("loss/", ""),
  points: records.filter((r) => typeof r[name] === "number").map((r) => [r.images, r[name]]),
}));

/** Show a run in an element and keep it fresh. Returns how to stop. */
export function watch(place, id, { changed } = {}) {
  let log = { generation: -1, total: 0, records: [] };
  let run = null;
  let stopped = false;
  const title = h("h2", { class: "cut", title: shortName(id) }, shortName(id));
  const state = h("span");
  const actions = h("div", { class: "row wrap" });
  const bar = h("i");
  const stats = h("dl", { class: "stats" });
  const coach = h("div", { class: "stack tight" });
  const losses = new Chart("Losses over images seen");
  const judged = new Chart("What the discriminator says, over images seen", { height: 190 });
  const vital = new Chart("Vital signs and scores over images seen", { height: 190 });
  const judgedCard = h("div", { class: "card stack", hidden: true }, h("h2", {}, "What the discriminator says"), judged.element);
  const vitalCard = h("div", { class: "card stack", hidden: true }, h("h2", {}, "Vital signs and scores"), vital.element);
  const wall = sampleWall(id);
  const report = h("div", { class: "card stack report", hidden: true });
  const consoleText = h("pre", { class: "console", tabIndex: 0 });
  const consoleBox = h("details", { class: "card", hidden: true }, h("summary", {}, "What it printed"), consoleText);
  const waiting = h("div", { hidden: true });
  const details = [h("div", { class: "stack" }, h("div", { class: "bar" }, bar), stats, coach), wall.element, h("div", { class: "card stack" }, h("h2", {}, "Losses"), losses.element)];
  fill(place,
    h("div", { class: "card stack" }, h("div", { class: "row between wrap" }, h("div", { class: "row grow run-title" }, title, state), actions), details[0], waiting),
    details.slice(1), judgedCard, vitalCard,
    report, consoleBox);

  const act = async (path, body, text) => {
    try { await post(path, body); toast(text); changed?.(); await refresh(true); } catch (error) { toast(error.message, "bad"); }
  };

  function head() {
    fill(state, chip(run.status));
    bar.style.width = `${100 * run.progress}%`;
    bar.parentElement.classList.toggle("waiting", run.status === "queued" || (run.status === "running" && !run.progress));
    const stat = (name, value, unit) => h("div", {}, h("dt", {}, name), h("dd", {}, value, unit && h("small", {}, ` ${unit}`)));
    fill(stats, stat("Done", `${Math.floor(100 * run.progress)}`, "%"), stat("Images seen", count(run.images)), stat("Speed", count(Math.round(run.speed)), "images/s"),
      stat("Time", duration(run.seconds)), run.status === "running" && stat("Left", duration(run.left)),
      Object.entries(run.scores).slice(0, 2).map(([name, value]) => stat(name, Number(value.toPrecision(3)))));
    const live = run.status === "running";
    const offered = [run.status, run.job, run.has_model].join(); // drawn again only when it changes: a click takes a moment
    const [use, page, name] = useOf(run);
    if (offered !== actions.dataset.offered) fill(actions,
      run.job && (live || run.status === "queued") && button(live ? "Stop" : "Remove", () => act("/api/jobs/stop", { job: run.job }, live ? "It finishes its step, saves and stops." : "Taken out of the queue."), { symbol: "stop", kind: "slim" }),
      !live && ["stopped", "diverged"].includes(run.status) && button("Resume", () => act("/api/resume", { run: id }, "It goes on from its last checkpoint."), { symbol: "start", kind: "slim" }),
      run.status === "finished" && button("Train longer", () => longer(run), { symbol: "start", kind: "slim" }),
      run.has_model && h("a", { class: "button slim", href: `#/${page}?model=${name}` }, icon(page), use));
    actions.dataset.offered = offered;
    const health = run.health;
    const fine = !health || health === "healthy";
    if (run.status === "diverged") fill(coach, note("bad", "alert", "A loss became infinite and training stopped. The last good state is kept. Try a lower learning rate, a gradient penalty, or clip_grad 1."));
    else if (run.failure && run.status === "stopped") fill(coach, note("bad", "alert", run.failure));
    else fill(coach, run.images > 0 && note(fine ? "" : "warn", fine ? "heart" : "alert", h("b", {}, "Coach: "), fine ? (live ? "nothing to worry about." : "nothing was wrong.") : health));
  }

  async function longer() {
    const { ask } = await import("./dom.js");
    const minutes = await ask("Train longer", "How many minutes in total, with those it has had?", { confirm: "Go on", value: String(Math.ceil(run.seconds / 60) * 2) });
    if (minutes) await act("/api/resume", { run: id, goal: "minutes", amount: Number(minutes) }, "It goes on from its last checkpoint.");
  }

  function draw() {
    const groups = curves(log.records);
    losses.set(series(log.records, groups.losses));
    judged.set(series(log.records, groups.judged));
    vital.set(series(log.records, groups.vital));
    judgedCard.hidden = !groups.judged.length;
    vitalCard.hidden = !groups.vital.length;
  }

  async function refresh(whole) {
    let fresh;
    try { fresh = await get("/api/run/log", { id, generation: log.generation, after: log.total }); } catch (error) {
      if (error.status === 404 && !stopped) {
        end();
        fill(place, h("div", { class: "card" }, empty("train", `${shortName(id)} is not here`, "It was renamed or deleted. The Runs page lists what there is.", h("a", { class: "button", href: "#/runs" }, icon("runs"), "Runs"))));
      }
      throw error;
    }
    if (stopped) return;
    waiting.hidden = !fresh.waiting;
    if (fresh.waiting) {
      const bad = fresh.waiting.status === "failed";
      fill(state, chip(fresh.waiting.status));
      fill(waiting, bad ? note("bad", "alert", fresh.waiting.reason) : empty("train", fresh.waiting.status === "queued" ? "It waits for its turn" : fresh.waiting.status === "running" ? "It is about to begin" : "It never began",
        fresh.waiting.status === "running" ? "Opening the pictures and building the networks takes a moment." : ""));
    }
    for (const card of details) card.hidden = Boolean(fresh.waiting);
    if (fresh.waiting) return;
    const new_ = fresh.whole || fresh.records.length;
    log = { generation: fresh.generation, total: fresh.total, records: fresh.whole ? fresh.records : log.records.concat(fresh.records) };
    wall.set(fresh.grids);
    if (new_ || whole || !run || run.status !== "finished") {
      run = await get("/api/run", { id });
      if (stopped) return;
      head();
      wall.film(run.film);
      report.hidden = !run.report;
      if (run.report && report.dataset.text !== String(run.report.length)) {
        report.dataset.text = run.report.length;
        fill(report, h("h2", {}, "The coach's report"), markdown(run.report, (name) => address("/api/run/file", { id, name })));
      }
    }
    if (new_ || whole) draw();
    if (run.job) {
      consoleBox.hidden = false;
      if (consoleBox.open) consoleText.textContent = (await get("/api/jobs/console", { job: run.job })).text;
    }
  }

  const end = poll(() => pace(run), () => refresh(false));
  return () => { stopped = true; end(); };
}

/** Sample grids over time: a slider and a play button. */
function sampleWall(id) {
  let grids = [];
  let at = -1;
  let timer = null;
  const image = h("img", { class: "pixels", alt: "Samples at this moment of the run" });
  const caption = h("span", { class: "small muted number" });
  const time = slider("Time", { min: 0, max: 0, step: 1, value: 0, show: (v) => (grids.length ? `${count(grids[v])} images` : ""), oninput: (v) => { halt(); show(v); } });
  const playing = h("span");
  const film = h("a", { class: "button quiet slim", hidden: true, download: `${shortName(id)}.mp4`, href: address("/api/run/file", { id, name: "samples/film.mp4" }) }, icon("film"), "Film");
  const nothing = h("p", { class: "muted small" }, "The first samples appear in a moment.");
  const body = h("div", { class: "stack", hidden: true }, h("div", { class: "samples" }, image), h("div", { class: "row" }, playing, h("div", { class: "grow" }, time)));
  const element = h("div", { class: "card stack" }, h("div", { class: "row between" }, h("h2", {}, "Samples"), h("div", { class: "row" }, caption, film)), nothing, body);

  function show(index) {
    at = index;
    time.set(index);
    image.src = address("/api/run/file", { id, name: `samples/${String(grids[index]).padStart(10, "0")}.png` });
    caption.textContent = `${index + 1} of ${grids.length}`;
  }
  function halt() { clearInterval(timer); timer = null; drawPlay(); }
  function drawPlay() { fill(playing, iconButton(timer ? "Pause" : "Play the run from its beginning", timer ? "pause" : "start", toggle, "")); }
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
    film(there) { film.hidden = !there; },
  };
}

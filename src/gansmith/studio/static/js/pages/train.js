// Train: choose a family, its settings, a goal; a queue; watch what runs.
import { get, post } from "../api.js";
import { button, chip, empty, field, fill, h, iconButton, poll, refill, segments, select, shortName, toast } from "../dom.js";
import { form } from "../form.js";
import { watch } from "../watch.js";

const ENDED = ["done", "stopped", "failed", "cancelled"];
const GOALS = { minutes: ["Minutes", 10], images: ["Images", 500000], steps: ["Steps", 5000] };
const KINDS = { images: "Pictures", crops: "Photographs", paired: "Pairs", unpaired: "Side A" };
const START = "dcgan";

export async function open(main, query) {
  const live = h("section", { class: "stack", "aria-label": "The run being watched" });
  const queue = h("div", { class: "stack tight" });
  const queueCard = h("div", { class: "card stack", hidden: true }, h("h2", {}, "Queue"), queue);
  let watched = query.get("run");
  let stop = null;
  let missing = true;

  const look = (id) => {
    watched = id;
    missing = false;
    stop?.();
    stop = watch(live, id, { changed: () => drawQueue() });
    mark();
  };
  const mark = () => { for (const row of queue.querySelectorAll("[data-run]")) row.setAttribute("aria-pressed", String(row.dataset.run === watched)); };

  let drawn = "";
  async function drawQueue() {
    const jobs = await get("/api/jobs");
    const text = JSON.stringify(jobs);
    if (text === drawn || queue.matches(":active")) return jobs; // not under somebody's finger
    drawn = text;
    queueCard.hidden = !jobs.length;
    const order = [...jobs.filter((j) => !ENDED.includes(j.status)).reverse(), ...jobs.filter((j) => ENDED.includes(j.status))].slice(0, 12);
    refill(queue, order.map((job) => h("div", { class: "job" },
      h("button", { type: "button", class: "choice grow", "data-run": job.run, onclick: () => look(job.run) },
        h("span", { class: "row between" }, h("b", { class: "cut" }, shortName(job.run)), chip(job.status)),
        h("span", { class: "cut" }, job.title), job.reason && h("span", { class: "problem" }, job.reason)),
      ENDED.includes(job.status) ? iconButton(`Remove ${shortName(job.run)} from the list`, "close", async () => { await post("/api/jobs/forget", { job: job.id }); await drawQueue(); })
        : iconButton(job.status === "queued" ? `Take ${shortName(job.run)} out of the queue` : `Stop and save ${shortName(job.run)}`, "stop", async () => { await post("/api/jobs/stop", { job: job.id }); await drawQueue(); }))));
    mark();
    return jobs;
  }

  const started = async (answer) => { await drawQueue(); look(answer.run); if (innerWidth < 1000) live.scrollIntoView({ behavior: "smooth" }); };
  const make = h("div", { class: "card stack", id: "new-run" }, h("h2", {}, "New run"), h("div", { class: "bar waiting" }, h("i")));
  fill(main,
    h("header", { class: "head" }, h("div", { class: "grow" }, h("h1", {}, "Train"), h("p", {}, "A run is a process of its own: it goes on when you close this page, and when you close the studio."))),
    h("div", { class: "split" }, h("div", { class: "stack" }, make, queueCard), live));
  await newRun(make, query, started);

  const jobs = await drawQueue();
  if (!watched) {
    const active = jobs.find((job) => job.status === "running");
    watched = active?.run || (await get("/api/runs")).find((run) => !run.problem)?.id;
  }
  if (watched) look(watched);
  if (missing) fill(live, h("div", { class: "card" }, empty("train", "No runs yet", "Choose a family and press Start. Two minutes are enough for digits that you can recognise.")));
  const end = poll(4, drawQueue);
  return () => { end(); stop?.(); };
}

/** The form of a new run. */
async function newRun(place, query, started) {
  const [families, data] = await Promise.all([get("/api/families"), get("/api/data")]);
  const sets = [...data.workspace.map((row) => row.spec), ...data.standard.filter((s) => s.ready).map((s) => s.name), ...data.standard.filter((s) => !s.ready).map((s) => s.name)];
  let name = query.get("family") || START;
  let family = null;
  let goal = "minutes";
  let forms = null;
  const given = query.get("data");

  const options = h("datalist", { id: "sets" }, sets.map((s) => h("option", { value: s })));
  const sideA = h("input", { class: "input", value: given || "mnist10k", placeholder: "a set, or a path in the workspace", "aria-label": "Data", autocomplete: "off", spellcheck: false });
  const sideB = h("input", { class: "input", placeholder: "the other side", "aria-label": "Side B", autocomplete: "off", spellcheck: false });
  sideA.setAttribute("list", "sets");
  sideB.setAttribute("list", "sets");
  const aLabel = h("span", { class: "label" }, "Data");
  const bField = h("label", { class: "field", hidden: true }, h("span", { class: "label" }, "Side B"), sideB);
  const about = h("p", { class: "help" });
  const amount = h("input", { class: "input number amount", value: GOALS.minutes[1], inputMode: "decimal", "aria-label": "How much" });
  const called = h("input", { class: "input", placeholder: "named after family and data", autocomplete: "off", maxLength: 64 });
  const settings = h("div", { class: "stack" });
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const start = button("Start", () => go(), { kind: "primary wide", symbol: "start" });

  async function choose(next) {
    name = next;
    const found = await get("/api/family", { name });
    if (name !== next) return; // another one was chosen while this came
    family = found;
    about.textContent = family.about;
    aLabel.textContent = KINDS[family.data];
    bField.hidden = !["unpaired", "paired"].includes(family.data);
    bField.querySelector(".label").textContent = family.data === "paired" ? "Side B (empty where both sides are in one picture)" : "Side B";
    const own = form(family.family.filter((f) => f.own));
    const shared = form(family.family.filter((f) => !f.own));
    const run = form(family.run);
    forms = { own, shared, run };
    const group = (title, more, made, open_) => made.rows.length > 0 && h("details", { open: open_ }, h("summary", {}, title, h("span", { class: "muted small" }, more)), h("div", { class: "settings" }, made.rows));
    fill(settings, group(`Settings of ${name}`, `${own.rows.length}`, own, false), group("Learning", `${shared.rows.length}`, shared, false), group("The run", `size, batch, device, ${run.rows.length} in all`, run, false));
  }

  async function go() {
    problem.hidden = true;
    start.disabled = true;
    try {
      const body = { name, data: [sideA.value.trim(), bField.hidden ? "" : sideB.value.trim()].filter(Boolean), goal, amount: Number(amount.value.replace(",", ".")), called: called.value.trim(),
        run: forms.run.values(), family: { ...forms.own.values(), ...forms.shared.values() } };
      const answer = await post("/api/train", body);
      toast(`${shortName(answer.run)} is in the queue. In a terminal: ${answer.command}`);
      called.value = "";
      await started(answer);
    } catch (error) { problem.textContent = error.message; problem.hidden = false; } finally { start.disabled = false; }
  }

  const picker = select("Family", families.map((f) => [f.name, f.name]), name, choose);
  await choose(families.some((f) => f.name === name) ? name : families[0].name);
  fill(place, h("h2", {}, "New run"),
    h("label", { class: "field" }, h("span", { class: "label" }, "Family"), picker, about),
    h("label", { class: "field" }, aLabel, sideA), bField, options,
    h("div", { class: "field" }, h("span", { class: "label" }, "How long"), h("div", { class: "row" }, amount,
      segments("Unit", Object.entries(GOALS).map(([key, [text]]) => [key, text]), goal, (next) => { goal = next; amount.value = GOALS[next][1]; }))),
    field("Name", called), settings, problem, start);
}

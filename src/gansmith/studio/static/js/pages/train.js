// Train: a form for every family, the queue, and the run that is being watched.
import { get, post } from "../api.js";
import { keep } from "../address.js";
import { cureButtons } from "../cures.js";
import { chip, empty, fill, h, iconButton, poll, refill, trouble } from "../dom.js";
import { shortName } from "../format.js";
import { t } from "../i18n.js";
import { newRun } from "../new_run.js";
import { bell } from "../notice.js";
import { watch } from "../watch.js";

const ENDED = ["done", "stopped", "failed", "cancelled"];

export async function open(main, query) {
  const live = h("section", { class: "stack", "aria-label": t("train.watched") });
  const queue = h("div", { class: "stack tight" });
  const queueCard = h("div", { class: "card stack", hidden: true }, h("div", { class: "row between wrap" }, h("h2", {}, t("train.queue")), bell()), queue);
  const split = h("div", { class: "split train" });
  let watched = query.get("run");
  let stop = null;

  const look = (id, { push = false } = {}) => {
    watched = id;
    keep({ run: id }, { push });
    stop?.();
    stop = watch(live, id, query, { changed: () => drawQueue(), started });
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
    const act = (path, job) => async () => { try { await post(path, { job: job.id }); await drawQueue(); } catch (error) { trouble(error); } };
    refill(queue, order.map((job) => h("div", { class: "stack tight" }, h("div", { class: "job" },
      h("button", { type: "button", class: "choice grow", "data-run": job.run, onclick: () => { look(job.run, { push: true }); if (innerWidth < 1000) live.scrollIntoView({ behavior: "smooth" }); } },
        h("span", { class: "row between" }, h("b", { class: "cut" }, shortName(job.run)), chip(job.status, t(`status.${job.status}`))),
        h("span", { class: "cut" }, job.title), job.reason && h("span", { class: "problem" }, job.reason)),
      ENDED.includes(job.status) ? iconButton(t("train.forget", { name: shortName(job.run) }), "close", act("/api/jobs/forget", job))
        : iconButton(t(job.status === "queued" ? "train.unqueue" : "train.stop", { name: shortName(job.run) }), "stop", act("/api/jobs/stop", job))),
    job.status === "failed" && cureButtons(job.cures, async (cure) => { try { await started(await post("/api/train/again", { job: job.id, set: cure.set || {}, family: cure.family || "" })); } catch (error) { trouble(error); } }, "cure.again"))));
    mark();
    return jobs;
  }

  async function started(answer) {
    await drawQueue();
    look(answer.run, { push: true });
    if (innerWidth < 1000) live.scrollIntoView({ behavior: "smooth" });
  }
  const make = h("div", { class: "card stack", id: "new-run" }, h("h2", {}, t("train.new")), h("div", { class: "bar waiting" }, h("i")));
  // on a phone, a link to a run shows the run
  split.classList.toggle("watching", Boolean(watched) && !query.get("like") && !query.get("data"));
  fill(split, h("div", { class: "stack" }, make, queueCard), live);
  fill(main, h("header", { class: "head" }, h("div", { class: "grow" }, h("h1", {}, t("train.title")), h("p", {}, t("train.about")))), split);
  if (watched) look(watched);
  /** The run that trains, or the newest one; unless somebody has chosen or started another while the lists came. */
  async function lookAtSomething() {
    const active = (await drawQueue()).find((job) => job.status === "running");
    const first = watched || active?.run || (await get("/api/runs")).find((run) => !run.problem)?.id;
    if (watched) return;
    if (first) look(first);
    else fill(live, h("div", { class: "card" }, empty("train", t("train.none"), t("train.noneText"))));
  }
  await Promise.all([newRun(make, query, started), lookAtSomething()]);
  const end = poll(4, drawQueue);
  return () => { end(); stop?.(); };
}

// Something that the studio computes beside trainings: how far it is, how to stop it, what came out.
import { get, post } from "./api.js";
import { button, fill, h, note, poll, trouble } from "./dom.js";
import { duration } from "./format.js";
import { t } from "./i18n.js";

/**
 * Follow a task in an element until it has ended.
 * @param {(result) => void} done called with what it found.
 * @returns how to stop following; the task goes on.
 */
export function follow(place, id, done) {
  const bar = h("i");
  const line = h("div", { class: "bar waiting" }, bar);
  const told = h("p", { class: "small muted number", role: "status" }, t("task.begins"));
  fill(place, h("div", { class: "stack tight task" }, line, h("div", { class: "row between wrap" }, told, button(t("task.stop"), async () => { try { await post("/api/task/stop", { id }); } catch (error) { trouble(error); } }, { kind: "slim", symbol: "stop" }))));
  const end = poll(0.7, async () => {
    let task;
    try { task = await get("/api/task", { id }); } catch (error) { if (error.status === 404) { end(); fill(place, note("bad", "alert", error.message)); } throw error; }
    if (task.status === "running") {
      line.classList.toggle("waiting", task.share === null);
      if (task.share !== null) bar.style.width = `${100 * task.share}%`;
      told.textContent = [task.phase, t("repair.spent", { time: duration(task.spent) })].filter(Boolean).join(" · ");
      return;
    }
    end();
    if (task.status === "done") { fill(place); done(task.result, task); } else fill(place, task.status === "failed" ? note("bad", "alert", task.reason) : null);
  });
  return end;
}

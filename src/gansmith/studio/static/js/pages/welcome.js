// Welcome: the three first steps, each one click, with what is done and what comes next.
import { button, fill, h, icon, poll, refill } from "../dom.js";
import { t } from "../i18n.js";
import { STEPS, known, leave, mark, nextStep, take, waits } from "../welcome.js";

export async function open(main) {
  const list = h("ol", { class: "welcome" });
  const foot = h("div", { class: "row wrap" });
  fill(main, h("header", { class: "head" }, h("div", {}, h("h1", {}, t("welcome.title")), h("p", {}, t("welcome.about")))), list, foot);

  function draw(state) {
    const next = nextStep(state);
    refill(list, STEPS.map((step, i) => {
      const why = waits(state, step);
      const failed = step === "train" && state.status === "failed";
      return h("li", { class: `card ${state.done[step] ? "done" : ""}`, "data-step": step, "aria-current": step === next && "step" },
        h("div", { class: "row" }, mark(state, step, i), h("h2", { class: "grow" }, t(`welcome.${step}.title`)), icon(step)),
        h("p", {}, t(`welcome.${step}.text`)),
        h("p", { class: "small muted", role: "status" }, state.done[step] ? t("welcome.isDone") : failed ? t("welcome.failed") : why),
        button(state.done[step] ? t(`welcome.${step}.again`) : t(`welcome.${step}.go`), () => take(step), { kind: step === next ? "primary" : "", disabled: Boolean(why) }));
    }));
    refill(foot, h("a", { class: "button", href: "#/data" }, icon("upload"), t("welcome.own")), h("a", { class: "button quiet", href: "#/understand" }, icon("understand"), t("welcome.learn")),
      button(t("welcome.leave"), async () => { await leave(); location.hash = "#/data"; }, { kind: "quiet" }));
  }
  draw(await known(true));
  return poll(2, async () => draw(await known(true)));
}

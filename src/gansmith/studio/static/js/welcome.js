// The first steps, Data, Train, Play: how far somebody is, a bar above every page that leads on, and what each step does.
import { get, post } from "./api.js";
import { link } from "./address.js";
import { button, fill, h, icon, iconButton, refill, trouble } from "./dom.js";
import { t } from "./i18n.js";

export const STEPS = ["data", "train", "play"];
const PRESET = "digits";
let now = null;
let page = "";
let ended = false; // the last step is told once, on its own page

/** What the server knows; asked again with `fresh`. */
export async function known(fresh = false) {
  if (fresh || !now) now = await get("/api/welcome");
  return now;
}

/** The step to take next: the first that is not done. */
export const nextStep = (state) => STEPS.find((step) => !state.done[step]) || null;

/** Why a step cannot be taken yet; empty where it can. */
export function waits(state, step) {
  if (step !== "play" || state.model) return "";
  if (state.status === "failed") return t("welcome.failed");
  if (!state.run) return t("welcome.trainFirst");
  return state.progress > 0 ? t("welcome.soon", { share: Math.floor(100 * state.progress) }) : t("welcome.starting");
}

/** One click: what the step is about is chosen, begun and shown. */
export async function take(step) {
  try {
    const state = await known(true);
    if (step === "data") {
      await post("/api/welcome", { step });
      location.hash = link("data", { spec: "mnist10k" });
    } else if (step === "train") {
      const busy = ["queued", "running", "stopping"].includes(state.status);
      const run = busy ? state.run : await begin();
      location.hash = link("train", { run });
    } else location.hash = link("play", { model: state.run });
    await guide();
  } catch (error) { trouble(error); }
}

async function begin() {
  const preset = (await get("/api/presets")).find(({ key }) => key === PRESET);
  const { run } = await post("/api/train", { name: preset.family, data: [preset.data], goal: preset.goal, amount: preset.amount, called: "", run: {}, family: preset.set });
  await post("/api/welcome", { step: "train", run });
  return run;
}

/** Put them away. */
export async function leave() {
  try { await post("/api/welcome", { leave: true }); } catch (error) { return trouble(error); }
  ended = false;
  return guide();
}

/** From the beginning, on a page of their own. */
export async function again() {
  try { await post("/api/welcome", { again: true }); } catch (error) { return trouble(error); }
  ended = false;
  await known(true);
  if (location.hash === "#/welcome") window.dispatchEvent(new Event("hashchange"));
  else location.hash = "#/welcome";
  return undefined;
}

export const mark = (state, step, n) => h("span", { class: "mark", "aria-hidden": "true" }, state.done[step] ? icon("check") : String(n + 1));
const told = (state, step) => (state.done[step] ? t("welcome.isDone") : "");

/** The bar above the pages; `where` is the page that is shown now. */
export async function guide(where = page) {
  const moved = where !== page;
  page = where;
  const place = document.querySelector(".guide");
  const state = await known(true);
  if (moved) ended = false;
  if (state.active && page === "play" && state.model) {
    await post("/api/welcome", { step: "play" });
    ended = true;
    state.done.play = true;
  }
  place.hidden = page === "welcome" || !(state.active || ended);
  if (place.hidden) { place.replaceChildren(); return; }
  place.setAttribute("aria-label", t("welcome.steps"));
  const step = ended ? null : nextStep(state);
  const why = step && waits(state, step);
  refill(place,
    h("ol", {}, STEPS.map((name, i) => h("li", { class: state.done[name] ? "done" : "", "aria-current": name === step && "step" }, mark(state, name, i), t(`frame.${name}`), h("span", { class: "visually-hidden" }, told(state, name))))),
    h("p", { class: "small grow", role: "status" }, ended ? t("welcome.all") : why || (step === "play" && !state.status ? t("welcome.ready") : t(`welcome.${step}.short`))),
    step && !why && button(t(`welcome.${step}.go`), () => take(step), { kind: "primary slim" }),
    step && why && state.status === "failed" && button(t("welcome.train.go"), () => take("train"), { kind: "primary slim" }),
    iconButton(t(ended ? "welcome.close" : "welcome.leave"), "close", leave));
}

/** Are the first steps on? Then how far they are is worth asking for every few seconds. */
export const leading = () => Boolean(now?.active);

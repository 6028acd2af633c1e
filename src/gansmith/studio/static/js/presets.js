// Where to begin, by purpose; and what a run will need, measured before it starts.
import { get, post } from "./api.js";
import { button, fill, h, note, trouble } from "./dom.js";
import { bytes, count, duration } from "./format.js";
import { t } from "./i18n.js";
import { follow } from "./task.js";

/** A row of purposes; `apply` fills the form in. */
export function purposes(apply, { open = true } = {}) {
  const list = h("div", { class: "purposes", role: "group", "aria-label": t("preset.title") });
  const quality = h("p", { class: "help", hidden: true, "data-role": "quality" });
  const element = h("details", { open }, h("summary", {}, t("preset.title"), h("span", { class: "muted small" }, t("preset.about"))), h("div", { class: "stack tight" }, list, quality));
  get("/api/presets").then((presets) => fill(list, presets.map((preset) => h("button", { type: "button", class: "choice", "data-preset": preset.key, "aria-pressed": "false", onclick: async () => {
    for (const other of list.children) other.setAttribute("aria-pressed", String(other.dataset.preset === preset.key));
    quality.hidden = false;
    quality.textContent = t(`preset.${preset.key}.quality`);
    try { await apply(preset); } catch (error) { trouble(error); }
  } }, h("b", {}, t(`preset.${preset.key}.title`)), h("span", {}, t(`preset.${preset.key}.for`)))))).catch(trouble);
  return { element, none() { quality.hidden = true; for (const other of list.children) other.setAttribute("aria-pressed", "false"); } };
}

/**
 * Time and memory of the run that the form asks for.
 * @param {() => object} wish what would be started.
 * @param {() => object | null} preset the purpose that was chosen, which knows how many images good pictures take.
 */
export function estimate(wish, preset, refused) {
  const shown = h("div", { class: "stack tight", "data-role": "estimate" });
  const go = button(t("estimate.ask"), measure, { kind: "slim", symbol: "step" });
  const element = h("div", { class: "stack tight" }, h("div", {}, go), shown);
  let stop = () => {};
  let turn = 0;

  async function measure() {
    const mine = ++turn;
    stop();
    let wished;
    try {
      wished = wish();
      const answer = await post("/api/train/estimate", wished);
      if (mine !== turn) return;
      if (answer.result) tell(answer.result, wished);
      else stop = follow(shown, answer.id, (result) => mine === turn && tell(result, wished));
    } catch (error) { if (mine === turn) { fill(shown); refused(error); } }
  }

  function tell(found, { goal, amount }) {
    const speed = found.images_per_second;
    const images = goal === "minutes" ? 60 * amount * speed : goal === "steps" ? amount * found.batch : amount;
    const seen = preset()?.seen;
    fill(shown, h("p", { class: "small" }, t("estimate.time", { time: duration(images / speed), images: count(Math.round(images)), speed: count(Math.round(speed)) })),
      found.memory && h("p", { class: "small" }, t("estimate.memory", { memory: bytes(found.memory), available: found.available ? bytes(found.available) : "?" })),
      seen > 0 && h("p", { class: "small" }, t("estimate.seen", { seen: count(seen), time: duration(seen / speed) })),
      found.fits === false && note("bad", "alert", t("estimate.no")), found.advice.map((line) => h("p", { class: "help" }, line)));
  }

  return { element, measure, clear() { turn += 1; stop(); fill(shown); } };
}

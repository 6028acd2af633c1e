// The form of a new run: what suits the pictures is filled in, what was typed stays, and what is wrong is said at its field.
import { get, post } from "./api.js";
import { keep } from "./address.js";
import { cureButtons } from "./cures.js";
import { button, debounce, field, fill, h, note, segments, select, toast, trouble } from "./dom.js";
import { form } from "./form.js";
import { chosen, shortName, spoken } from "./format.js";
import { t, tOr } from "./i18n.js";
import { estimate, purposes } from "./presets.js";

const GOALS = { minutes: 10, images: 500000, steps: 5000 };
const START = "r3gan";
const STORED = "gansmith-new-run";

/** What was typed, by setting; it outlives another family, another page and a reload. */
class Draft extends Map {
  constructor() {
    let kept = [];
    try { kept = JSON.parse(sessionStorage.getItem(STORED) || "[]"); } catch { /* storage may be switched off */ }
    super(Array.isArray(kept) ? kept : []);
  }

  set(name, value) { super.set(name, value); this.store?.(); return this; }

  clear() { super.clear(); this.store?.(); }

  store() { try { sessionStorage.setItem(STORED, JSON.stringify([...this])); } catch { /* storage may be switched off */ } }
}
let draft = null;

export async function newRun(place, query, started) {
  draft ||= new Draft();
  const [families, data] = await Promise.all([get("/api/families"), get("/api/data")]);
  const sets = [...data.workspace.map((row) => row.spec), ...data.standard.filter((s) => s.ready).map((s) => s.name), ...data.standard.filter((s) => !s.ready).map((s) => s.name)];
  let name = query.get("family") || draft.get("#family") || START;
  let family = null;
  let goal = draft.get("#goal") || "minutes";
  let forms = [];
  let picked = Boolean(query.get("data")); // somebody has said which pictures

  const options = h("datalist", { id: "sets" }, sets.map((s) => h("option", { value: s })));
  const side = (value, key) => {
    const input = h("input", { class: "input", value, placeholder: t("new.dataHint"), autocomplete: "off", spellcheck: false, "data-name": "data", oninput: () => { picked = true; draft.set(`#${key}`, input.value); keep({ [key]: input.value }); planSoon(); } });
    input.setAttribute("list", "sets");
    return input;
  };
  const sideA = side(query.get("data") || draft.get("#data") || "mnist10k", "data");
  const sideB = side(query.get("b") || draft.get("#b") || "", "b");
  const aLabel = h("span", { class: "label" }, t("new.data"));
  const bLabel = h("span", { class: "label" }, t("new.sideB"));
  const bField = h("label", { class: "field", hidden: true }, bLabel, sideB);
  const about = h("p", { class: "help" });
  const paper = h("details", { class: "small" }, h("summary", {}, t("new.paper")), h("p", { class: "help" }));
  const amount = h("input", { class: "input number amount", value: draft.get("#amount") || GOALS[goal], inputMode: "decimal", "aria-label": t("new.howMuch"), "data-name": "amount", oninput: () => draft.set("#amount", amount.value) });
  const units = segments(t("new.unit"), Object.keys(GOALS).map((key) => [key, t(`new.goal.${key}`)]), goal, (next) => { goal = next; amount.value = GOALS[next]; draft.set("#goal", goal); draft.set("#amount", amount.value); });
  const called = h("input", { class: "input", placeholder: t("new.nameHint"), autocomplete: "off", maxLength: 64, "data-name": "called" });
  const settings = h("div", { class: "stack" });
  const planned = h("div", { class: "stack tight", role: "status" });
  const problem = h("div", { class: "stack tight", role: "alert" });
  const start = button(t("new.start"), () => go(), { kind: "primary wide", symbol: "start" });
  const picker = select(t("new.family"), families.map((f) => [f.name, f.name]), name, (next) => choose(next).catch(trouble));

  async function choose(next) {
    name = next;
    const found = await get("/api/family", { name });
    if (name !== next) return; // another one was chosen while this came
    family = found;
    keep({ family: name });
    draft.set("#family", name);
    picker.value = name;
    about.textContent = tOr(`family.${name}`, family.about);
    paper.hidden = about.textContent === family.about;
    paper.lastChild.textContent = family.about;
    aLabel.textContent = t(`new.kind.${family.data}`);
    bField.hidden = !["unpaired", "paired"].includes(family.data);
    bLabel.textContent = t(family.data === "paired" ? "new.sideBOptional" : "new.sideBUnpaired");
    const open_ = [...settings.querySelectorAll("details")].map((d) => d.open);
    forms = [family.family.filter((f) => f.own), family.family.filter((f) => !f.own), family.run].map((fields) => form(fields, draft));
    const titles = [t("new.own", { name }), t("new.learning"), t("new.run")];
    const more = [forms[0].rows.length, forms[1].rows.length, t("new.runMore", { n: forms[2].rows.length })];
    fill(settings, forms.map((made, i) => made.rows.length > 0 && h("details", { open: open_[i] || false }, h("summary", {}, titles[i], h("span", { class: "muted small" }, String(more[i]))), h("div", { class: "settings" }, made.rows))));
    fill(problem);
    await plan();
  }

  const chosenData = () => [sideA.value.trim(), bField.hidden ? "" : sideB.value.trim()].filter(Boolean);
  const values = () => ({ run: forms[2].values(), family: { ...forms[0].values(), ...forms[1].values() } });
  const setting = (key) => forms.find((made) => made.has(key));
  let turn = 0;

  /** What suits these pictures is filled in, where nothing was typed; and what would stop the run is said now. */
  async function plan() {
    const mine = ++turn;
    if (!chosenData().length) { fill(planned); return; }
    let byHand;
    try { byHand = handValues(); } catch { return; } // a number that is none: said at its field
    let found;
    try { found = await post("/api/train/plan", { name, data: chosenData(), ...byHand }); } catch { return; }
    if (mine !== turn) return;
    for (const made of forms) for (const [key, control] of made.controls) if (control.row.dataset.by === "data" || key in found.set) made.suggest(key, found.set[key]);
    const filled = Object.entries(found.set).filter(([key]) => setting(key)?.controls.get(key).row.dataset.by === "data");
    fill(planned,
      (filled.length > 0 || found.why.length > 0) && h("p", { class: "help", "data-role": "filled" }, filled.length > 0 && [t("new.filled"), " ", filled.map(([key, value], i) => [i > 0 && ", ", h("b", {}, value === true ? spoken(key) : `${spoken(key)} ${chosen(value)}`)]), ". "], found.why.map(([why, numbers]) => t(`advice.${why}`, numbers)).join(" ")),
      found.problem && note("warn", "alert", found.problem.text, cureButtons(found.problem.cures, (cure) => apply(cure, false), "cure.set")));
  }
  const planSoon = debounce(400, plan);

  /** Only what was typed: what the data suggests is worked out anew. */
  function handValues() {
    const typed = (made) => Object.fromEntries([...made.controls].filter(([, c]) => c.row.dataset.by === "hand").map(([key, c]) => [key, c.read()]));
    return { run: typed(forms[2]), family: { ...typed(forms[0]), ...typed(forms[1]) } };
  }

  /** Do what an error says can be done, and start again where that was asked for. */
  async function apply(cure, thenStart = true) {
    if (cure.family) await choose(cure.family);
    for (const [key, value] of Object.entries(cure.set || {})) setting(key)?.set(key, value);
    fill(problem);
    await plan();
    if (thenStart) await go();
  }

  /** The fields that an error is about are opened and marked. */
  function mark(names, text) {
    let first = null;
    for (const key of names || []) {
      const control = setting(key)?.controls.get(key);
      const other = control ? null : { data: sideA, minutes: amount, images: amount, steps: amount, amount, called }[key];
      if (control) { control.row.closest("details").open = true; control.mark(text); first ||= control.control; } else if (other) { other.setAttribute("aria-invalid", "true"); first ||= other; }
    }
    first?.focus({ preventScroll: true });
    first?.scrollIntoView({ block: "center", behavior: "smooth" });
  }

  const wish = () => ({ name, data: chosenData(), goal, amount: Number(amount.value.replace(",", ".")), called: called.value.trim(), ...values() });

  /** What was refused, with what can be done, and the fields that it is about. */
  function refused(error) {
    if (error.gone) return;
    fill(problem, h("p", { class: "problem" }, error.message), cureButtons(error.told?.cures, (cure) => apply(cure), "cure.with"));
    mark(error.told?.fields, error.message);
  }

  async function go() {
    fill(problem);
    for (const input of place.querySelectorAll("[aria-invalid=true]")) input.setAttribute("aria-invalid", "false");
    for (const made of forms) for (const control of made.controls.values()) control.mark("");
    start.disabled = true;
    try {
      const answer = await post("/api/train", wish());
      toast(t("new.started", { name: shortName(answer.run), command: answer.command }));
      called.value = "";
      await started(answer);
    } catch (error) { refused(error); } finally { start.disabled = false; }
  }

  function forget() {
    draft.clear();
    preset = null;
    first.none();
    needs.clear();
    for (const made of forms) for (const control of made.controls.values()) { control.row.dataset.by = ""; control.show(control.field.default); }
    plan();
  }

  /** A purpose: family, settings, how long; and pictures where it brings some. */
  async function usePreset(next) {
    draft.clear();
    preset = next;
    if (next.data) sideA.value = next.data;
    goal = next.goal;
    units.set(goal);
    amount.value = next.amount;
    for (const [key, value] of [["#data", sideA.value], ["#b", sideB.value], ["#goal", goal], ["#amount", String(next.amount)]]) draft.set(key, value);
    keep({ data: sideA.value });
    await choose(next.family);
    for (const [key, value] of Object.entries(next.set)) setting(key)?.set(key, value);
    await plan();
    if (next.data || picked) await needs.measure();
  }
  let preset = null;
  const first = purposes(usePreset, { open: !query.get("like") && !query.get("family") && !query.get("run") });
  const needs = estimate(wish, () => preset, refused);
  place.addEventListener("input", (event) => { if (!event.target.closest("[data-role=estimate]")) needs.clear(); });

  /** Everything as it was in another run. */
  async function likeAnother(run) {
    const old = await get("/api/train/like", { run });
    draft.clear();
    [sideA.value, sideB.value] = [old.data[0] || "", old.data[1] || ""];
    goal = old.goal;
    units.set(goal);
    amount.value = old.amount;
    for (const [key, value] of [["#data", sideA.value], ["#b", sideB.value], ["#goal", goal], ["#amount", String(old.amount)]]) draft.set(key, value);
    keep({ like: "", data: sideA.value, b: sideB.value });
    await choose(old.name);
    for (const [key, value] of Object.entries({ ...old.run, ...old.family })) setting(key)?.set(key, value);
    await plan();
    toast(t("new.like", { name: shortName(run) }));
  }

  fill(place, h("div", { class: "row between" }, h("h2", {}, t("train.new")), button(t("new.forget"), forget, { kind: "slim quiet" })),
    first.element, h("label", { class: "field" }, h("span", { class: "label" }, t("new.family")), picker, about), paper,
    h("label", { class: "field" }, aLabel, sideA), bField, options,
    h("div", { class: "field" }, h("span", { class: "label" }, t("new.howLong")), h("div", { class: "row" }, amount, units)),
    planned, needs.element, field(t("new.name"), called), settings, problem, h("div", { class: "thumb" }, start));
  /** Settings that a link asks for: name:value,name:value. */
  function useAsked(asked) {
    for (const [key, value] of asked.split(",").map((pair) => pair.split(/:(.*)/s))) {
      const found = setting(key)?.controls.get(key);
      if (!found) continue;
      setting(key).set(key, found.field.kind === "switch" ? value === "true" : value);
      found.row.closest("details").open = true; // so that it is seen
    }
    keep({ set: "" });
    return plan();
  }

  const like = query.get("like");
  if (like) await likeAnother(like);
  else await choose(families.some((f) => f.name === name) ? name : families[0].name);
  if (query.get("set")) await useAsked(query.get("set"));
}

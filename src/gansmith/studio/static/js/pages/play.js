// Play: draw new pictures from a model, walk between them, mix their styles, keep what is good.
import { get, postFile, postSheet } from "../api.js";
import { button, chip, count, empty, field, fill, h, icon, iconButton, latest, save, segments, select, shortName, slider, toast } from "../dom.js";
import { copy, paint, picture, toBlob, together } from "../sheet.js";

const MODES = [["samples", "Samples"], ["walk", "Walk"], ["between", "Between"], ["mix", "Mix"]];
const STEPS = 9;
const FIRST = 8;
const MOST_SEED = 2 ** 31 - 101; // the pictures after the first have the seeds after it
const seedOf = () => Math.floor(Math.random() * 100_000);

export async function open(main, query) {
  const head = h("header", { class: "head" }, h("div", { class: "grow" }, h("h1", {}, "Play"), h("p", {}, "Every picture is a point in the model’s latent space. Move the point, and the picture moves with it.")));
  const body = h("div");
  fill(main, head, body);
  const models = await get("/api/models");
  const known = new Map();
  const facts = async (id) => { if (!known.has(id)) known.set(id, await get("/api/model", { model: id })); return known.get(id); };
  const wanted = query.get("model");
  const generators = models.filter((run) => run.id === wanted || !run.translates);
  if (!generators.length) {
    fill(body, h("div", { class: "card" }, empty("play", "No model to play with yet", "A run writes its model with its first checkpoint, so two minutes of training are enough to begin.", h("a", { class: "button primary", href: "#/train" }, icon("train"), "Train one"))));
    return null;
  }
  const state = { model: generators.some((r) => r.id === wanted) ? wanted : generators[0].id, facts: null, mode: "samples", truncation: 1, label: "each", seed: 1, a: 1, b: 2 };
  let redraw = () => {};
  const stage = h("div", { class: "stack" });
  const side = h("div", { class: "card stack" });

  async function chooseModel(id) {
    state.model = id;
    fill(stage, h("div", { class: "card" }, h("div", { class: "bar waiting" }, h("i"))));
    let found;
    try { found = await facts(id); } catch (error) { found = error; }
    if (state.model !== id) return undefined; // another one was chosen while this came
    if (found instanceof Error) {
      fill(side, modelField());
      return fill(stage, h("div", { class: "card" }, empty("alert", "This model cannot be used", found.message)));
    }
    state.facts = found;
    if (!state.facts.makes) fill(side, modelField());
    if (!state.facts.makes) return fill(stage, h("div", { class: "card" }, empty("repair", "This model changes pictures", "It does not make them from noise.", h("a", { class: "button primary", href: `#/repair?model=${encodeURIComponent(id)}` }, "Open it on the Repair page"))));
    if (state.mode === "mix" && !state.facts.styles) state.mode = "samples";
    if (!(Number(state.label) < state.facts.classes.length)) state.label = "each"; // the last model's class may not be here
    return draw();
  }

  const modelField = () => field("Model", select("Model", generators.map((run) => [run.id, shortName(run.id)]), state.model, chooseModel));

  function draw() {
    const { facts: f } = state;
    const modes = MODES.filter(([key]) => key !== "mix" || f.styles);
    fill(side,
      modelField(),
      h("div", { class: "row wrap" }, chip("plain", f.family), chip("plain", `${f.size[0]} x ${f.size[1]}`), chip("plain", `${count(f.weights)} weights`), chip("plain", `${count(f.images)} images seen`)),
      f.classes.length > 0 && field("Class", select("Class", [["each", "every class in turn"], ...f.classes.map((name, i) => [String(i), name])], state.label, (v) => { state.label = v; redraw(); })),
      slider("Truncation", { min: 0.1, max: 1.4, step: 0.05, value: state.truncation, show: (v) => v.toFixed(2), help: "Lower is closer to the average picture: cleaner, and more alike.", oninput: (v) => { state.truncation = v; redraw(); } }));
    const area = h("div", { class: "stack" });
    fill(stage, segments("What to do", modes, state.mode, (mode) => { state.mode = mode; redraw = VIEWS[mode](area, state); redraw(); }), area);
    redraw = VIEWS[state.mode](area, state);
    redraw();
  }
  fill(body, h("div", { class: "split play" }, side, stage));
  await chooseModel(state.model);
  return null;
}

const asked = (state, recipes, columns) => ({ model: state.model, recipes, columns, label: state.label, truncation: state.truncation });
/** "each" gives picture i class i; single pictures keep the class they had in the grid. */
const single = (state, index = 0) => ({ ...asked(state, []), label: state.label === "each" ? (state.facts.classes.length ? String(index % state.facts.classes.length) : "") : state.label });
const guarded = (f) => latest(async () => { try { await f(); } catch (error) { toast(error.message, "bad"); } });

function seedField(name, value, onchange) {
  const input = h("input", { class: "input number", type: "text", inputMode: "numeric", value, "aria-label": name, onchange: () => use(Number.parseInt(input.value, 10)) });
  const use = (seed) => { const safe = Number.isInteger(seed) && seed >= 0 ? Math.min(seed, MOST_SEED) : 0; input.value = safe; onchange(safe); };
  const element = h("div", { class: "row" }, input, iconButton(`Another ${name.toLowerCase()}`, "dice", () => use(seedOf()), ""));
  element.set = (v) => { input.value = v; };
  return element;
}

const keep = (canvas, name) => button("Save picture", async () => save(await toBlob(canvas), name), { symbol: "download", kind: "slim" });

function keepVideo(body) {
  const make = button("Save video", async () => {
    make.disabled = true;
    make.lastChild.textContent = "Making the video";
    try { save(await postFile("/api/play/video", body()), "gansmith-walk.mp4"); } catch (error) { toast(error.message, "bad"); }
    make.disabled = false;
    make.lastChild.textContent = "Save video";
  }, { symbol: "film", kind: "slim" });
  return make;
}

const VIEWS = {
  samples(area, state) {
    const number = state.facts.size[0] > 100 ? 16 : 40;
    const wall = h("div", { class: "tiles" });
    const shown = Array.from({ length: number }, (_, i) => picture(`Sample ${i + 1}`, { onclick: () => pick(i) }));
    const big = picture("The chosen sample", { class: "pixels big" });
    const told = h("p", { class: "small muted number" });
    let chosen = 0;
    const pick = (i) => {
      chosen = i;
      shown.forEach((canvas, k) => canvas.parentElement.setAttribute("aria-pressed", String(k === i)));
      copy(shown[i], big);
      told.textContent = `seed ${state.seed + i}`;
    };
    fill(wall, shown.map((canvas, i) => h("button", { type: "button", "aria-pressed": "false", "aria-label": `Sample ${i + 1}`, onclick: () => pick(i) }, canvas)));
    const use = (slot) => () => { state[slot] = state.seed + chosen; state[`${slot}Class`] = chosen; toast(`Seed ${state[slot]} is ${slot === "a" ? "A" : "B"} of Between.`); };
    const seed = seedField("First seed", state.seed, (v) => { state.seed = v; redraw(); });
    fill(area, h("div", { class: "card stack" }, h("div", { class: "row between wrap" }, h("div", { class: "row" }, h("span", { class: "label" }, "First seed"), seed), button("New samples", () => { state.seed = seedOf(); seed.set(state.seed); redraw(); }, { kind: "primary", symbol: "dice" })), wall),
      h("div", { class: "card chosen" }, big, h("div", { class: "stack tight" }, h("h2", {}, "Chosen picture"), told, h("div", { class: "row wrap" }, button("Use as A", use("a"), { kind: "slim" }), button("Use as B", use("b"), { kind: "slim" }), keep(big, "gansmith-sample.png"),
        button("Save all", async () => save(await toBlob(together(shown, 8), 640), "gansmith-samples.png"), { kind: "slim", symbol: "download" })))));
    const redraw = guarded(async () => {
      const started = performance.now();
      const recipes = shown.map((_, i) => ({ seed: state.seed + i }));
      // the first few come at once, the rest while they are being looked at
      for (const [from, to] of [[0, FIRST], [FIRST, number]]) {
        const sheet = await postSheet("/api/play/pictures", { ...asked(state, recipes.slice(from, to), FIRST), first: from });
        shown.slice(from, to).forEach((canvas, i) => paint(canvas, sheet, i));
        if (!from) { wall.dataset.ms = Math.round(performance.now() - started); pick(chosen); }
      }
      pick(chosen);
      wall.dataset.seed = state.seed;
    });
    return redraw;
  },

  walk(area, state) {
    const at = { x: 0, y: 0 };
    const big = picture("Where the walk is", { class: "pixels big" });
    const x = slider("Direction 1", { min: -2.5, max: 2.5, step: 0.05, value: 0, show: (v) => v.toFixed(2), oninput: (v) => { at.x = v; dot(); redraw(); } });
    const y = slider("Direction 2", { min: -2.5, max: 2.5, step: 0.05, value: 0, show: (v) => v.toFixed(2), oninput: (v) => { at.y = v; dot(); redraw(); } });
    const knob = h("i");
    const pad = h("div", { class: "pad", "aria-hidden": "true" }, knob);
    const dot = () => { knob.style.left = `${50 + at.x * 20}%`; knob.style.top = `${50 - at.y * 20}%`; };
    const move = (event) => {
      if (!(event.buttons & 1)) return;
      const box = pad.getBoundingClientRect();
      at.x = Math.max(-2.5, Math.min(2.5, ((event.clientX - box.left) / box.width - 0.5) * 5));
      at.y = Math.max(-2.5, Math.min(2.5, (0.5 - (event.clientY - box.top) / box.height) * 5));
      x.set(at.x);
      y.set(at.y);
      dot();
      redraw();
    };
    pad.addEventListener("pointerdown", (event) => { pad.setPointerCapture(event.pointerId); move(event); });
    pad.addEventListener("pointermove", move);
    dot();
    const recipe = () => [{ seed: state.seed, x: at.x, y: at.y }];
    fill(area, h("div", { class: "card walk" }, big, h("div", { class: "stack" },
      h("p", { class: "help" }, "Two random directions through latent space. Near pictures are alike, far ones are not, and there is something everywhere."),
      field("Start", seedField("Start", state.seed, (v) => { state.seed = v; redraw(); })), x, y, pad,
      h("div", { class: "row wrap" }, button("Back to the start", () => { at.x = at.y = 0; x.set(0); y.set(0); dot(); redraw(); }, { symbol: "again", kind: "slim" }), keep(big, "gansmith-walk.png"), keepVideo(() => ({ model: state.model, what: "walk", seed: state.seed, label: state.label, truncation: state.truncation }))))));
    const redraw = guarded(async () => paint(big, await postSheet("/api/play/pictures", { ...single(state), recipes: recipe() }), 0));
    return redraw;
  },

  between(area, state) {
    let t = 0.5;
    const big = picture("Between A and B", { class: "pixels big" });
    const strip = Array.from({ length: STEPS }, (_, i) => picture(`${Math.round((100 * i) / (STEPS - 1))} % of the way`));
    const knob = h("div", { class: "knob", tabIndex: 0, role: "slider", "aria-label": "How far from A to B", "aria-valuemin": 0, "aria-valuemax": 100 });
    const track = h("div", { class: "way" }, strip, knob);
    const place = () => { knob.style.left = `${100 * t}%`; knob.setAttribute("aria-valuenow", Math.round(100 * t)); };
    const go = (next) => { t = Math.max(0, Math.min(1, next)); place(); drawBig(); };
    const drag = (event) => {
      if (!(event.buttons & 1)) return;
      const box = track.getBoundingClientRect();
      go((event.clientX - box.left) / box.width);
    };
    track.addEventListener("pointerdown", (event) => { track.setPointerCapture(event.pointerId); drag(event); });
    track.addEventListener("pointermove", drag);
    knob.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02, PageDown: -0.2, PageUp: 0.2, Home: -1, End: 1 }[event.key];
      if (step) { event.preventDefault(); go(t + step); }
    });
    place();
    const way = (value) => ({ from: state.a, to: state.b, t: value });
    const drawBig = guarded(async () => paint(big, await postSheet("/api/play/pictures", { ...single(state, state.aClass || 0), recipes: [way(t)] }), 0));
    fill(area, h("div", { class: "card stack" }, h("div", { class: "row between wrap" },
      h("div", { class: "row" }, h("b", {}, "A"), seedField("Seed of A", state.a, (v) => { state.a = v; redraw(); })), h("div", { class: "row" }, h("b", {}, "B"), seedField("Seed of B", state.b, (v) => { state.b = v; redraw(); }))), track,
    h("div", { class: "chosen" }, big, h("div", { class: "stack tight" }, h("p", { class: "help" }, "Drag the handle. The way goes along the sphere on which latents lie, so every picture in between is as likely as the two at its ends."), h("div", { class: "row wrap" }, keep(big, "gansmith-between.png"), keepVideo(() => ({ model: state.model, what: "between", from: state.a, to: state.b, label: single(state, state.aClass || 0).label, truncation: state.truncation })))))));
    const redraw = guarded(async () => {
      const sheet = await postSheet("/api/play/pictures", { ...single(state, state.aClass || 0), recipes: strip.map((_, i) => way(i / (STEPS - 1))), columns: STEPS });
      strip.forEach((canvas, i) => paint(canvas, sheet, i));
      drawBig();
    });
    return redraw;
  },

  mix(area, state) {
    const layers = state.facts.styles;
    const mixing = { rows: [1, 2, 3, 4], columns: [11, 12, 13, 14, 15], layer: Math.round(layers / 2) };
    const grid = h("div", { class: "mix" });
    let sheet = null;
    const layer = slider("Columns take over from layer", { min: 0, max: layers, step: 1, value: mixing.layer, show: (v) => `${v} of ${layers}`, oninput: (v) => { mixing.layer = v; redraw(); }, help: "Early layers decide shape and pose, late ones colour and texture." });
    const again = (which) => () => { mixing[which] = mixing[which].map(seedOf); redraw(); };
    fill(area, h("div", { class: "card stack" }, h("div", { class: "row wrap" }, button("New rows", again("rows"), { symbol: "dice", kind: "slim" }), button("New columns", again("columns"), { symbol: "dice", kind: "slim" }), button("Save picture", async () => save(await sheetBlob(sheet), "gansmith-mix.png"), { symbol: "download", kind: "slim" })), layer, h("div", { class: "scroll" }, grid)));
    const redraw = guarded(async () => {
      sheet = await postSheet("/api/play/mix", { model: state.model, ...mixing, label: state.label, truncation: state.truncation });
      grid.style.setProperty("--columns", sheet.columns);
      fill(grid, Array.from({ length: sheet.count }, (_, i) => {
        if (i === 0) return h("span");
        const canvas = picture(i < sheet.columns ? "Fine styles" : i % sheet.columns === 0 ? "Coarse styles" : "Mixed", { class: i < sheet.columns || i % sheet.columns === 0 ? "pixels source" : "pixels" });
        paint(canvas, sheet, i);
        return canvas;
      }));
    });
    return redraw;
  },
};

function sheetBlob(sheet) {
  const canvas = h("canvas", { width: sheet.bitmap.width, height: sheet.bitmap.height });
  canvas.getContext("2d").drawImage(sheet.bitmap, 0, 0);
  return toBlob(canvas, 640);
}

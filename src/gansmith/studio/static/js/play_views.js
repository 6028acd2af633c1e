// The ways of playing: a wall of samples, a walk, the way between two pictures, style mixing.
import { postFile, postSheet } from "./api.js";
import { button, field, fill, h, iconButton, latest, save, slider, toast, trouble } from "./dom.js";
import { shortName } from "./format.js";
import { t } from "./i18n.js";
import { copy, paint, picture, toBlob, together } from "./sheet.js";

const STEPS = 9;
const FIRST = 8;
export const MOST_SEED = 2 ** 31 - 101; // the pictures after the first have the seeds after it
const seedOf = () => Math.floor(Math.random() * 100_000);

const asked = (state, recipes, columns) => ({ model: state.model, recipes, columns, label: state.label, truncation: state.truncation });
/** "each" gives picture i class i; single pictures keep the class they had in the grid. */
export const classOf = (state, index = 0) => (state.label === "each" ? (state.facts.classes.length ? String(index % state.facts.classes.length) : "") : state.label);
export const single = (state, index = 0) => ({ ...asked(state, []), label: classOf(state, index) });
export const guarded = (f) => latest(async () => { try { await f(); } catch (error) { trouble(error); } });

/** A file's name that says how to make the picture again. */
export function fileName(state, what, index = 0, ending = "png") {
  const label = classOf(state, index);
  const named = state.facts.classes[Number(label)] ?? label;
  return [shortName(state.model), what, state.facts.classes.length && label !== "" && `class-${named}`, state.truncation !== 1 && `truncation-${state.truncation.toFixed(2)}`].filter(Boolean).join("-").replace(/[^\w.-]+/g, "-") + `.${ending}`;
}

export function seedField(name, value, onchange) {
  const input = h("input", { class: "input number", type: "text", inputMode: "numeric", value, "aria-label": name, onchange: () => use(Number.parseInt(input.value, 10)) });
  const use = (seed) => { const safe = Number.isInteger(seed) && seed >= 0 ? Math.min(seed, MOST_SEED) : 0; input.value = safe; onchange(safe); };
  const element = h("div", { class: "row" }, input, iconButton(t("play.another", { name }), "dice", () => use(seedOf()), ""));
  element.set = (v) => { input.value = v; };
  return element;
}

/** "1-4, 9" -> [1, 2, 3, 4, 9]; null where it is none. */
export function seedsOf(text, most = 8) {
  const found = [];
  for (const part of text.split(/[\s,;]+/).filter(Boolean)) {
    const range = part.match(/^(\d{1,10})(?:-(\d{1,10}))?$/);
    if (!range) return null;
    const [from, to] = [Number(range[1]), Number(range[2] ?? range[1])];
    if (to < from || to > MOST_SEED) return null;
    for (let seed = from; seed <= to && found.length <= most; seed += 1) found.push(seed);
  }
  return found.length && found.length <= most ? found : null;
}

export const keepButton = (canvas, name) => button(t("play.save"), async () => save(await toBlob(canvas), name()), { symbol: "download", kind: "slim" });

function keepVideo(body, name) {
  const make = button(t("play.video"), async () => {
    make.disabled = true;
    make.lastChild.textContent = t("play.making");
    try { save(await postFile("/api/play/video", body()), name()); } catch (error) { trouble(error); }
    make.disabled = false;
    make.lastChild.textContent = t("play.video");
  }, { symbol: "film", kind: "slim" });
  return make;
}

/** How the wall is laid out: where classes come in turn and are few, a row for each; index i is of class i % classes. */
function layoutOf(state) {
  const classes = state.facts.classes.length;
  const large = state.facts.size[0] > 100;
  if (state.label !== "each" || classes < 2 || classes > (large ? 4 : 20)) return { many: large ? 16 : 40, columns: 8, first: FIRST, rows: [] };
  const columns = large || classes > 10 ? 4 : 8;
  const rows = Array.from({ length: classes }, (_, c) => Array.from({ length: columns }, (_, k) => c + classes * k));
  return { many: classes * columns, columns, first: classes, rows };
}

function samples(area, state) {
  const wall = h("div", { class: "tiles" });
  let layout = { many: 0 };
  let shown = [];
  const big = picture(t("play.chosen"), { class: "pixels big" });
  const told = h("p", { class: "small muted number" });
  const before = h("div", { class: "row wrap small" });
  const visited = [];
  const pick = (i) => {
    state.put({ pick: i });
    shown.forEach((canvas, k) => canvas.parentElement.setAttribute("aria-pressed", String(k === i)));
    copy(shown[i], big);
    const label = state.facts.classes[Number(classOf(state, i))];
    told.textContent = label === undefined ? t("play.seedIs", { seed: String(state.seed + i) }) : t("play.seedClass", { seed: String(state.seed + i), label });
  };
  /** The buttons of the wall, row by row; drawn anew when another class was chosen. */
  function build() {
    const next = layoutOf(state);
    if (next.many === layout.many && next.rows.length === layout.rows.length) return;
    layout = next;
    shown = Array.from({ length: layout.many }, (_, i) => picture(t("play.sample", { n: i + 1 })));
    const tile = (i) => h("button", { type: "button", "aria-pressed": "false", "aria-label": t("play.sample", { n: i + 1 }), onclick: () => pick(i) }, shown[i]);
    wall.classList.toggle("by-class", layout.rows.length > 0);
    wall.style.setProperty("--columns", layout.columns);
    fill(wall, layout.rows.length ? layout.rows.map((row, c) => [h("span", { class: "small muted cut", title: state.facts.classes[c] }, state.facts.classes[c]), row.map(tile)]) : shown.map((_, i) => tile(i)));
  }
  const inOrder = () => (layout.rows.length ? layout.rows.flat().map((i) => shown[i]) : shown);
  const use = (slot) => () => {
    state.put({ [slot]: state.seed + state.pick, ...(slot === "a" ? { aClass: state.pick } : {}) });
    toast(t("play.used", { seed: String(state[slot]), slot: slot.toUpperCase() }));
  };
  const go = (seed_) => { state.put({ seed: seed_ }); seed.set(seed_); redraw(); };
  const seed = seedField(t("play.firstSeed"), state.seed, go);
  const drawBefore = () => fill(before, visited.length > 1 && [h("span", { class: "muted" }, t("play.earlier")), visited.slice(0, -1).slice(-8).reverse().map((old) => h("button", { type: "button", class: "chip plain tag-chip", onclick: () => go(old) }, old))]);
  fill(area, h("div", { class: "card samples-area" },
    h("div", { class: "stack" }, h("div", { class: "row between wrap" }, h("div", { class: "row" }, h("span", { class: "label" }, t("play.firstSeed")), seed), h("div", { class: "thumb" }, button(t("play.new"), () => go(seedOf()), { kind: "primary", symbol: "dice" }))), before, wall),
    h("div", { class: "stack tight in-view" }, big, h("h2", {}, t("play.chosen")), told, h("div", { class: "row wrap" }, button(t("play.like"), () => state.like({ seed: state.seed + state.pick, label: classOf(state, state.pick), truncation: state.truncation }), { kind: "slim", symbol: "star" }),
      button(t("play.useA"), use("a"), { kind: "slim" }), button(t("play.useB"), use("b"), { kind: "slim" }), keepButton(big, () => fileName(state, `seed-${state.seed + state.pick}`, state.pick)),
      button(t("play.saveAll"), async () => save(await toBlob(together(inOrder(), layout.columns), 640), fileName(state, `seeds-${state.seed}-${state.seed + layout.many - 1}`)), { kind: "slim", symbol: "download" })))));
  const redraw = guarded(async () => {
    build();
    const { many, first } = layout;
    const started = performance.now();
    const recipes = shown.map((_, i) => ({ seed: state.seed + i }));
    const at = Math.min(state.pick, many - 1);
    if (visited.at(-1) !== state.seed) { visited.push(state.seed); drawBefore(); }
    // the first few come at once, the rest while they are being looked at
    for (const [from, to] of [[0, first], [first, many]]) {
      const sheet = await postSheet("/api/play/pictures", { ...asked(state, recipes.slice(from, to), first), first: from });
      shown.slice(from, to).forEach((canvas, i) => paint(canvas, sheet, i));
      if (!from) { wall.dataset.ms = Math.round(performance.now() - started); pick(at); }
    }
    pick(at);
    wall.dataset.seed = state.seed;
  });
  return redraw;
}

function walk(area, state) {
  const big = picture(t("play.where"), { class: "pixels big" });
  const axis = (name, key) => slider(name, { min: -2.5, max: 2.5, step: 0.05, value: state[key], show: (v) => v.toFixed(2), oninput: (v) => { state.put({ [key]: v }); dot(); redraw(); } });
  const x = axis(t("play.direction", { n: 1 }), "x");
  const y = axis(t("play.direction", { n: 2 }), "y");
  const knob = h("i");
  const pad = h("div", { class: "pad", "aria-hidden": "true" }, knob);
  const dot = () => { knob.style.left = `${50 + state.x * 20}%`; knob.style.top = `${50 - state.y * 20}%`; };
  const to = (newX, newY) => {
    const held = (v) => Math.round(20 * Math.max(-2.5, Math.min(2.5, v))) / 20;
    state.put({ x: held(newX), y: held(newY) });
    x.set(state.x);
    y.set(state.y);
    dot();
    redraw();
  };
  const move = (event) => {
    if (!(event.buttons & 1)) return;
    const box = pad.getBoundingClientRect();
    to(((event.clientX - box.left) / box.width - 0.5) * 5, (0.5 - (event.clientY - box.top) / box.height) * 5);
  };
  pad.addEventListener("pointerdown", (event) => { pad.setPointerCapture(event.pointerId); move(event); });
  pad.addEventListener("pointermove", move);
  dot();
  const recipe = () => [{ seed: state.seed, x: state.x, y: state.y }];
  fill(area, h("div", { class: "card walk" }, big, h("div", { class: "stack" },
    h("p", { class: "help" }, t("play.walkHelp")),
    field(t("play.start"), seedField(t("play.start"), state.seed, (v) => { state.put({ seed: v }); redraw(); })), x, y, pad,
    h("div", { class: "row wrap" }, button(t("play.back"), () => to(0, 0), { symbol: "again", kind: "slim" }), keepButton(big, () => fileName(state, `walk-seed-${state.seed}-at-${state.x.toFixed(2)}-${state.y.toFixed(2)}`)),
      keepVideo(() => ({ model: state.model, what: "walk", seed: state.seed, label: state.label, truncation: state.truncation }), () => fileName(state, `walk-seed-${state.seed}`, 0, "mp4"))))));
  const redraw = guarded(async () => paint(big, await postSheet("/api/play/pictures", { ...single(state), recipes: recipe() }), 0));
  return redraw;
}

function between(area, state) {
  const big = picture(t("play.betweenAB"), { class: "pixels big" });
  const strip = Array.from({ length: STEPS }, (_, i) => picture(t("play.onTheWay", { share: Math.round((100 * i) / (STEPS - 1)) })));
  const knob = h("div", { class: "knob", tabIndex: 0, role: "slider", "aria-label": t("play.howFar"), "aria-valuemin": 0, "aria-valuemax": 100 });
  const track = h("div", { class: "way" }, strip, knob);
  const place = () => { knob.style.left = `${100 * state.t}%`; knob.setAttribute("aria-valuenow", Math.round(100 * state.t)); };
  const go = (next) => { state.put({ t: Math.max(0, Math.min(1, next)) }); place(); drawBig(); };
  const drag = (event) => {
    if (!(event.buttons & 1)) return;
    const box = track.getBoundingClientRect();
    go((event.clientX - box.left) / box.width);
  };
  track.addEventListener("pointerdown", (event) => { track.setPointerCapture(event.pointerId); drag(event); });
  track.addEventListener("pointermove", drag);
  knob.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02, PageDown: -0.2, PageUp: 0.2, Home: -1, End: 1 }[event.key];
    if (step) { event.preventDefault(); go(state.t + step); }
  });
  place();
  const way = (value) => ({ from: state.a, to: state.b, t: value });
  const one = () => single(state, state.aClass);
  const name = (ending) => () => fileName(state, `between-${state.a}-and-${state.b}${ending === "png" ? `-at-${Math.round(100 * state.t)}` : ""}`, state.aClass, ending);
  const drawBig = guarded(async () => paint(big, await postSheet("/api/play/pictures", { ...one(), recipes: [way(state.t)] }), 0));
  const seedOfSlot = (slot) => h("div", { class: "row" }, h("b", {}, slot.toUpperCase()), seedField(t("play.seedOf", { slot: slot.toUpperCase() }), state[slot], (v) => { state.put({ [slot]: v }); redraw(); }));
  fill(area, h("div", { class: "card stack" }, h("div", { class: "row between wrap" }, seedOfSlot("a"), seedOfSlot("b")), track,
    h("div", { class: "chosen" }, big, h("div", { class: "stack tight" }, h("p", { class: "help" }, t("play.betweenHelp")), h("div", { class: "row wrap" }, keepButton(big, name("png")), keepVideo(() => ({ model: state.model, what: "between", from: state.a, to: state.b, label: one().label, truncation: state.truncation }), name("mp4")))))));
  const redraw = guarded(async () => {
    const sheet = await postSheet("/api/play/pictures", { ...one(), recipes: strip.map((_, i) => way(i / (STEPS - 1))), columns: STEPS });
    strip.forEach((canvas, i) => paint(canvas, sheet, i));
    drawBig();
  });
  return redraw;
}

function mix(area, state) {
  const layers = state.facts.styles;
  if (state.layer < 0 || state.layer > layers) state.put({ layer: Math.round(layers / 2) });
  const grid = h("div", { class: "mix" });
  let sheet = null;
  const layer = slider(t("play.layer"), { min: 0, max: layers, step: 1, value: state.layer, show: (v) => t("play.layerOf", { n: v, of: layers }), oninput: (v) => { state.put({ layer: v }); redraw(); }, help: t("play.layerHelp") });
  const seeds = (key) => {
    const name = t(`play.${key}`);
    const problem = h("span", { class: "problem", hidden: true }, t("play.seedsWrong"));
    const input = h("input", { class: "input", value: state[key], "aria-label": name, autocomplete: "off", spellcheck: false, onchange: () => {
      const found = seedsOf(input.value);
      problem.hidden = Boolean(found);
      input.setAttribute("aria-invalid", String(!found));
      if (found) { state.put({ [key]: input.value.trim() }); redraw(); }
    } });
    const again = iconButton(t("play.another", { name }), "dice", () => { input.value = (seedsOf(state[key]) || [1, 2, 3, 4]).map(seedOf).join(" "); input.dispatchEvent(new Event("change")); }, "");
    return h("div", { class: "field grow" }, h("span", { class: "label" }, name), h("div", { class: "row" }, input, again), problem);
  };
  fill(area, h("div", { class: "card stack" }, h("div", { class: "row wrap mix-seeds" }, seeds("rows"), seeds("columns")), layer,
    h("div", { class: "scroll" }, grid), h("div", { class: "row" }, button(t("play.save"), async () => sheet && save(await sheetBlob(sheet), fileName(state, `mix-rows-${state.rows}-columns-${state.columns}-layer-${state.layer}`)), { symbol: "download", kind: "slim" }))));
  const redraw = guarded(async () => {
    sheet = await postSheet("/api/play/mix", { model: state.model, rows: seedsOf(state.rows) || [1, 2, 3, 4], columns: seedsOf(state.columns) || [11, 12, 13, 14, 15], layer: state.layer, label: state.label, truncation: state.truncation });
    grid.style.setProperty("--columns", sheet.columns);
    fill(grid, Array.from({ length: sheet.count }, (_, i) => {
      if (i === 0) return h("span");
      const source = i < sheet.columns || i % sheet.columns === 0;
      const canvas = picture(t(i < sheet.columns ? "play.fine" : source ? "play.coarse" : "play.mixed"), { class: source ? "pixels source" : "pixels" });
      paint(canvas, sheet, i);
      return canvas;
    }));
  });
  return redraw;
}

export const VIEWS = { samples, walk, between, mix };

function sheetBlob(sheet) {
  const canvas = h("canvas", { width: sheet.bitmap.width, height: sheet.bitmap.height });
  canvas.getContext("2d").drawImage(sheet.bitmap, 0, 0);
  return toBlob(canvas, 640);
}

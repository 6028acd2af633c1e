// Understand: the 2-D playground and its lesson.
import { get, post } from "../api.js";
import { button, fill, h, icon, latest, segments, slider, toast } from "../dom.js";
import { ABOUT, CHAPTERS, NAMES } from "../lesson.js";
import { Board, Plane, Spark, unpack16 } from "../plane.js";

const WORLDS = [["ring", "Ring"], ["grid", "Grid"], ["spiral", "Spiral"], ["drawn", "Draw"]];
const LAYERS = [["landscape", "What D thinks"], ["push", "Pushes"], ["real", "Real points"]];
const FRAME_MS = 110;

export async function open(main, query) {
  const state = { chapter: Math.min(CHAPTERS.length - 1, Math.max(0, Number(query.get("chapter") || 1) - 1)), world: "ring", families: ["gan"], show: {}, running: false, seed: 3, speed: 2, points: null };
  let game = null;
  let frame = null;
  let left = false;
  const board = new Board();
  const lesson = h("div", { class: "card lesson" });
  const stage = h("div", { class: "planes" });
  const controls = h("div", { class: "card controls" });
  const panels = new Map();

  fill(main, h("header", { class: "head" }, h("div", {}, h("h1", {}, "Understand"), h("p", {}, "What a GAN is, in ten minutes, by watching one. Everything below is computed live by the families’ own losses."))),
    h("div", { class: "understand" }, lesson, h("div", { class: "stack" }, controls, stage)));

  function drawLesson() {
    const chapter = CHAPTERS[state.chapter];
    const to = (n) => () => enter(n);
    fill(lesson,
      h("div", { class: "steps", role: "group", "aria-label": "Chapters" }, CHAPTERS.map((c, i) => h("button", { type: "button", "aria-label": `${i + 1}. ${c.title}`, title: c.title, "aria-current": i === state.chapter && "step", onclick: to(i) }))),
      h("p", { class: "small muted number" }, `${state.chapter + 1} of ${CHAPTERS.length}`), h("h2", {}, chapter.title), chapter.text.map((t) => h("p", {}, t)),
      h("div", { class: "row between wrap" }, button("Back", to(state.chapter - 1), { kind: "quiet", disabled: !state.chapter }),
        chapter.last ? h("a", { class: "button primary", href: "#/train" }, icon("train"), "Train on pictures") : button("Next", to(state.chapter + 1), { kind: "primary" })));
  }

  function enter(number) {
    state.chapter = number;
    const { scene } = CHAPTERS[number];
    Object.assign(state, scene, { show: { ...scene.show }, families: [...scene.families] });
    drawLesson();
    drawControls();
    start();
  }

  function drawControls() {
    const toggle = (family) => () => {
      const on = state.families.includes(family);
      const next = Object.keys(NAMES).filter((name) => (name === family ? !on : state.families.includes(name)));
      if (!next.length) return;
      state.families = next;
      drawControls();
      start();
    };
    const play = button(state.running ? "Pause" : "Play", () => control(state.running ? "pause" : "play"), { kind: "primary", symbol: state.running ? "pause" : "start", "data-role": "play" });
    fill(controls,
      h("div", { class: "row wrap" }, play, button("Step", () => control("step"), { symbol: "step" }), button("Start again", () => { state.seed += 1; start(); }, { symbol: "again" }), h("div", { class: "speed" }, slider("Learning rate", { min: 0.5, max: 8, step: 0.5, value: state.speed, show: (v) => `x ${v}`, oninput: (v) => { state.speed = v; start(); } }))),
      h("div", { class: "row wrap" }, segments("Data", WORLDS, state.world, (world) => { state.world = world; if (world === "drawn") state.points = null; start(); }),
        h("div", { class: "segments", role: "group", "aria-label": "Families" }, Object.keys(NAMES).map((family) => h("button", { type: "button", "aria-pressed": String(state.families.includes(family)), onclick: toggle(family) }, NAMES[family])))),
      h("div", { class: "row wrap more" }, LAYERS.map(([key, text]) => h("label", { class: "switch" }, h("input", { type: "checkbox", role: "switch", checked: state.show[key], onchange: (event) => { state.show[key] = event.target.checked; draw(); } }), text))));
  }

  async function startNow() {
    const old = game?.id || "";
    panels.clear();
    if (state.world === "drawn" && !state.points) {
      game = null;
      return fill(stage, h("div", { class: "card board-card" }, board.canvas, h("div", { class: "row wrap" }, button("Learn these points", () => { if (!board.points.length) return toast("Draw some points first."); state.points = board.points; return start(); }, { kind: "primary", symbol: "start" }), button("Clear", () => board.clear(), { kind: "quiet" }))));
    }
    fill(stage, state.families.map((family) => {
      const plane = new Plane(`${NAMES[family]} on the ${state.world}`);
      const panel = { plane, spark: new Spark(), found: h("b", { class: "number" }), good: h("b", { class: "number" }), step: h("span", { class: "small muted number" }), warn: h("p", { class: "problem", hidden: true }), seen: -1 };
      panels.set(family, panel);
      return h("figure", { class: "card panel" }, h("figcaption", { class: "row between" }, h("h2", {}, NAMES[family]), panel.step), plane.canvas,
        h("dl", { class: "score" }, h("div", {}, h("dt", {}, h("i", { class: "key accent" }), state.world === "ring" || state.world === "grid" ? "places found" : "covered"), h("dd", {}, panel.found)), h("div", {}, h("dt", {}, h("i", { class: "key" }), "good points"), h("dd", {}, panel.good))), panel.spark.canvas, panel.warn,
        h("p", { class: "help" }, ABOUT[family]));
    }));
    try {
      const made = await post("/api/toy/start", { world: state.world, families: state.families, seed: state.seed, speed: state.speed, running: state.running, points: state.points || [], old });
      game = { ...made, real: unpack16(made.real) };
      frame = made.frame;
      draw();
    } catch (error) { toast(error.message, "bad"); }
    return undefined;
  }
  const start = latest(startNow);

  async function control(action) {
    if (!game) return;
    try {
      frame = await post("/api/toy/control", { id: game.id, action, steps: 5 });
      state.running = frame.running;
      drawControls();
      draw();
    } catch (error) { toast(error.message, "bad"); }
  }

  function draw() {
    if (!game || !frame) return;
    for (const player of frame.players) {
      const panel = panels.get(player.family);
      if (!panel) continue;
      panel.plane.draw(player, game.real, game.cells, state.show);
      panel.step.textContent = `step ${player.step.toLocaleString("en")}`;
      panel.found.textContent = player.of === 100 ? `${player.found} %` : `${player.found} of ${player.of}`;
      panel.good.textContent = `${Math.round(100 * player.good)} %`;
      panel.warn.hidden = !player.failed;
      panel.warn.textContent = player.failed;
      if (player.step !== panel.seen) { panel.seen = player.step; panel.spark.add(player.found / player.of, player.good); }
    }
  }

  async function loop() {
    while (!left) {
      const began = performance.now();
      if (game && state.running && !document.hidden) {
        const { id } = game;
        try {
          const next = await get("/api/toy/frame", { id });
          if (game?.id === id) { frame = next; draw(); }
        } catch (error) {
          if (error.status === 404 && game?.id === id) { game = null; toast("This game was put away while you were gone.", "", ["Start again", start]); }
        }
      }
      await new Promise((resolve) => setTimeout(resolve, Math.max(30, FRAME_MS - (performance.now() - began))));
    }
  }
  const retint = () => { panels.forEach((panel) => panel.plane.retint()); draw(); board.draw(); };
  window.addEventListener("themechange", retint);
  enter(state.chapter);
  loop();
  return () => { left = true; window.removeEventListener("themechange", retint); if (game) post("/api/toy/control", { id: game.id, action: "pause" }).catch(() => {}); };
}

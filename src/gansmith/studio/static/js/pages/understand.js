// Understand: the 2-D playground and its lesson.
import { keep, numeric } from "../address.js";
import { button, fill, h, icon, latest, refill, segments, slider, toast, trouble } from "../dom.js";
import { number, t } from "../i18n.js";
import { CHAPTERS, NAMES } from "../lesson.js";
import { Board, Plane, Spark, unpack16 } from "../plane.js";
import { control as steer, frame as look, offline, start as begin, teach } from "../toy.js";

const WORLDS = ["ring", "grid", "spiral", "drawn"];
const LAYERS = ["landscape", "push", "real"];
const FRAME_MS = 110;

/** `points` are what somebody has drawn, where the page was made with some. */
export async function open(main, query, points = null) {
  const state = { chapter: numeric(query, "chapter", 1, 1, CHAPTERS.length) - 1, world: "ring", families: ["gan"], show: {}, running: false, seed: numeric(query, "seed", 3, 0, 1e6), speed: numeric(query, "speed", 2, 0.5, 8), points };
  let game = null;
  let frame = null;
  let left = false;
  const board = new Board();
  const lesson = h("div", { class: "card lesson" });
  const stage = h("div", { class: "planes" });
  const controls = h("div", { class: "card controls" });
  const panels = new Map();

  fill(main, h("header", { class: "head" }, h("div", { class: "grow" }, h("h1", {}, t(offline ? "teach.title" : "understand.title")), h("p", {}, t(offline ? "teach.about" : "understand.about"))),
    teach && button(t("teach.export"), async () => { try { await teach(location.hash.split("?")[1] || "", state.world === "drawn" ? state.points : null); toast(t("teach.exported")); } catch (error) { trouble(error); } }, { symbol: "download", title: t("teach.exportHelp") })),
    h("div", { class: "understand" }, lesson, h("div", { class: "stack" }, controls, stage)));

  function drawLesson() {
    const chapter = CHAPTERS[state.chapter];
    const to = (n) => () => enter(n);
    refill(lesson,
      h("div", { class: "steps", role: "group", "aria-label": t("understand.chapters") }, CHAPTERS.map((c, i) => h("button", { type: "button", "aria-label": t("understand.chapter", { n: i + 1, title: t(`lesson.${i + 1}.title`) }), title: t(`lesson.${i + 1}.title`), "aria-current": i === state.chapter && "step", onclick: to(i) }))),
      h("p", { class: "small muted number" }, t("understand.chapterOf", { n: state.chapter + 1, of: CHAPTERS.length })), h("h2", {}, t(`lesson.${state.chapter + 1}.title`)), Array.from({ length: chapter.paragraphs }, (_, i) => h("p", {}, t(`lesson.${state.chapter + 1}.text.${i + 1}`))),
      offline && h("details", {}, h("summary", {}, t("teach.question")), h("p", {}, t(`lesson.${state.chapter + 1}.ask`)), h("details", {}, h("summary", {}, t("teach.answer")), h("p", {}, t(`lesson.${state.chapter + 1}.answer`)))),
      h("div", { class: "row between wrap" }, button(t("understand.back"), to(state.chapter - 1), { kind: "quiet", disabled: !state.chapter }),
        chapter.last ? !offline && h("a", { class: "button primary", href: "#/train" }, icon("train"), t("understand.trainOn")) : button(t("understand.next"), to(state.chapter + 1), { kind: "primary" })));
  }

  /** A chapter with its scene, or with what the address says instead. */
  function enter(chapter, asked = new URLSearchParams()) {
    state.chapter = chapter;
    const { scene } = CHAPTERS[chapter];
    Object.assign(state, scene, { show: { ...scene.show }, families: [...scene.families] });
    if (WORLDS.includes(asked.get("world"))) state.world = asked.get("world");
    const families = (asked.get("families") || "").split(",").filter((name) => name in NAMES);
    if (families.length) state.families = families;
    if (asked.get("show")) for (const key of LAYERS) state.show[key] = asked.get("show").split(",").includes(key);
    remember();
    drawLesson();
    drawControls();
    start();
  }

  /** What differs from the chapter's own scene stands in the address. */
  function remember() {
    const { scene } = CHAPTERS[state.chapter];
    const on = LAYERS.filter((key) => state.show[key]).join(",") || "none";
    keep({ chapter: state.chapter + 1, world: state.world === scene.world ? "" : state.world, families: state.families.join() === scene.families.join() ? "" : state.families.join(","),
      show: on === LAYERS.filter((key) => scene.show[key]).join(",") ? "" : on, seed: state.seed === 3 ? "" : state.seed, speed: state.speed === 2 ? "" : state.speed });
  }

  function drawControls() {
    const toggle = (family) => () => {
      const on = state.families.includes(family);
      const next = Object.keys(NAMES).filter((name) => (name === family ? !on : state.families.includes(name)));
      if (!next.length) return;
      state.families = next;
      remember();
      drawControls();
      start();
    };
    const play = button(t(state.running ? "understand.pause" : "understand.play"), () => control(state.running ? "pause" : "play"), { kind: "primary", symbol: state.running ? "pause" : "start", "data-role": "play" });
    refill(controls,
      h("div", { class: "row wrap" }, play, button(t("understand.step"), () => control("step"), { symbol: "step" }), button(t("understand.again"), () => { state.seed += 1; remember(); start(); }, { symbol: "again" }), h("div", { class: "speed" }, slider(t("understand.rate"), { min: 0.5, max: 8, step: 0.5, value: state.speed, show: (v) => `x ${v}`, oninput: (v) => { state.speed = v; remember(); start(); } }))),
      h("div", { class: "row wrap" }, segments(t("understand.data"), WORLDS.map((key) => [key, t(`understand.world.${key}`)]), state.world, (world) => { state.world = world; remember(); if (world === "drawn") state.points = null; start(); }),
        h("div", { class: "segments", role: "group", "aria-label": t("understand.families") }, Object.keys(NAMES).map((family) => h("button", { type: "button", "aria-pressed": String(state.families.includes(family)), onclick: toggle(family) }, NAMES[family])))),
      h("div", { class: "row wrap more" }, LAYERS.map((key) => h("label", { class: "switch" }, h("input", { type: "checkbox", role: "switch", checked: state.show[key], onchange: (event) => { state.show[key] = event.target.checked; remember(); draw(); } }), t(`understand.layer.${key}`)))));
  }

  async function startNow() {
    const old = game?.id || "";
    panels.clear();
    if (state.world === "drawn" && !state.points) {
      game = null;
      return fill(stage, h("div", { class: "card board-card" }, board.canvas, h("div", { class: "row wrap" }, button(t("understand.learn"), () => { if (!board.points.length) return toast(t("understand.drawFirst")); state.points = board.points; return start(); }, { kind: "primary", symbol: "start" }), button(t("understand.clear"), () => board.clear(), { kind: "quiet" }))));
    }
    fill(stage, state.families.map((family) => {
      const plane = new Plane(t("understand.on", { family: NAMES[family], world: t(`understand.world.${state.world}`) }));
      const panel = { plane, spark: new Spark(), found: h("b", { class: "number" }), good: h("b", { class: "number" }), step: h("span", { class: "small muted number" }), warn: h("p", { class: "problem", hidden: true }), seen: -1 };
      panels.set(family, panel);
      return h("figure", { class: "card panel" }, h("figcaption", { class: "row between" }, h("h2", {}, NAMES[family]), panel.step), plane.canvas,
        h("dl", { class: "score" }, h("div", {}, h("dt", {}, h("i", { class: "key accent" }), t(state.world === "ring" || state.world === "grid" ? "understand.places" : "understand.covered")), h("dd", {}, panel.found)), h("div", {}, h("dt", {}, h("i", { class: "key" }), t("understand.good")), h("dd", {}, panel.good))), panel.spark.canvas, panel.warn,
        h("p", { class: "help" }, t(`lesson.about.${family}`)));
    }));
    try {
      const made = await begin({ world: state.world, families: state.families, seed: state.seed, speed: state.speed, running: state.running, points: state.points || [], old });
      game = { ...made, real: unpack16(made.real) };
      frame = made.frame;
      draw();
    } catch (error) { trouble(error); }
    return undefined;
  }
  const start = latest(startNow);

  async function control(action) {
    if (!game) return;
    try {
      frame = await steer(game.id, action);
      state.running = frame.running;
      drawControls();
      draw();
    } catch (error) { trouble(error); }
  }

  function draw() {
    if (!game || !frame) return;
    for (const player of frame.players) {
      const panel = panels.get(player.family);
      if (!panel) continue;
      panel.plane.draw(player, game.real, game.cells, state.show);
      panel.step.textContent = t("understand.stepIs", { n: number(player.step) });
      panel.found.textContent = player.of === 100 ? `${player.found} %` : t("understand.found", { n: player.found, of: player.of });
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
          const next = await look(id);
          if (game?.id === id) { frame = next; draw(); }
        } catch (error) {
          if (error.status === 404 && game?.id === id) { game = null; toast(t("understand.away"), "", [t("understand.again"), start]); }
        }
      }
      await new Promise((resolve) => setTimeout(resolve, Math.max(30, FRAME_MS - (performance.now() - began))));
    }
  }
  const retint = () => { panels.forEach((panel) => panel.plane.retint()); draw(); board.draw(); };
  window.addEventListener("themechange", retint);
  enter(state.chapter, query);
  loop();
  return () => { left = true; window.removeEventListener("themechange", retint); if (game) steer(game.id, "pause").catch(() => {}); };
}

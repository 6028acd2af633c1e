// The game of a lesson that stands on a page of its own: what toy.js asks the server for is computed here.
import { t } from "../i18n.js";
import { Player, World } from "./game.js";
import { Matrix } from "./numbers.js";

export const offline = true;
export const teach = null;
const BUDGET_MS = 80; // of each frame; the rest is for drawing and for whoever clicks
const facts = JSON.parse(document.getElementById("facts").textContent);
let game = null;
let made = 0;

/** Numbers in [-1, 1] as the server sends them: base64 of little-endian int16. */
function pack16(values) {
  const raw = new Uint8Array(Int16Array.from(values, (v) => 32767 * Math.max(-1, Math.min(1, v || 0))).buffer);
  return btoa(String.fromCharCode(...raw));
}

const cells = (heights) => btoa(String.fromCharCode(...heights.map((v) => Math.max(0, Math.min(255, Math.floor(255 * v || 0))))));

function draw(player) {
  const { samples, heights, push, ...score } = player.look(game.places);
  const [low, high] = heights.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  const shown = Array.from(heights, (v) => (player.family === "gan" ? 1 / (1 + Math.exp(-v)) : (v - low) / Math.max(high - low, 1e-6)));
  let longest = 1e-9;
  for (let i = 0; i < push.length; i += 2) longest = Math.max(longest, Math.hypot(push[i], push[i + 1]));
  return {
    family: player.family, step: player.step, failed: player.failed ? t("teach.lost") : "", landscape: cells(shown),
    samples: pack16(samples.data.slice(0, 2 * facts.shown).map((v) => v / (2 * facts.extent))), push: pack16(push.map((v) => v / longest)), ...score,
  };
}

function told(steps, until = Infinity) {
  for (let i = 0; i < steps && performance.now() < until; i += 1) for (const player of game.players) if (!player.failed) player.play();
  return { running: game.running, players: game.players.map(draw) };
}

/** The places of the landscape, row by row from the top, in the networks' own unit. */
function grid() {
  const at = (i) => facts.unit * facts.extent * ((2 * i) / (facts.cells - 1) - 1);
  const data = Array.from({ length: facts.cells ** 2 }, (_, i) => [at(i % facts.cells), -at(Math.floor(i / facts.cells))]).flat();
  return new Matrix(facts.cells ** 2, 2, Float32Array.from(data));
}

export async function start({ world, families, seed, speed, running, points }) {
  const place = new World(world === "drawn" ? { base: points, sigma: facts.sigma, counted: false } : facts.worlds[world], facts.near);
  made += 1;
  game = { id: String(made), running, places: grid(), players: families.map((family) => new Player(family, place, facts.families[family], facts, seed, speed)) };
  return { id: game.id, real: pack16(place.spots.data.map((v) => v / (2 * facts.extent))), cells: facts.cells, extent: facts.extent, frame: told(0) };
}

export const frame = async () => (game.running ? told(Infinity, performance.now() + BUDGET_MS) : told(0));

export async function control(id, action, steps = 5) {
  game.running = action === "play";
  return told(action === "step" ? steps : 0);
}

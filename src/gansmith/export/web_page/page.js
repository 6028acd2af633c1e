"use strict";
// One page, one model: reads both from itself, runs them with onnxruntime-web, talks to nobody.
const facts = JSON.parse(document.getElementById("facts").textContent);
const $ = (id) => document.getElementById(id);
let ort = null, session = null;

async function unpacked(id) {
  const text = atob($(id).textContent.trim());
  const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
  $(id).remove();
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function start() {
  const source = new Blob([await unpacked("runtime")], { type: "text/javascript" });
  ort = await import(URL.createObjectURL(source));
  ort.env.wasm.numThreads = 1; // more need a server's headers
  ort.env.wasm.wasmBinary = await unpacked("wasm");
  session = await ort.InferenceSession.create(await unpacked("model"), { executionProviders: ["wasm"], logSeverityLevel: 3 });
}

// --- pictures ------------------------------------------------------------------------------------------------------

// [N, C, H, W] in [-1, 1] -> one ImageData each
function toImages(tensor) {
  const [n, channels, height, width] = tensor.dims, area = height * width, images = [];
  for (let i = 0; i < n; i++) {
    const image = new ImageData(width, height);
    for (let c = 0; c < 4; c++) {
      const from = (i * channels + (channels === 1 ? 0 : c)) * area, given = c < 3 || channels === 4;
      for (let p = 0; p < area; p++) image.data[4 * p + c] = given ? Math.round((tensor.data[from + p] + 1) * 127.5) : 255;
    }
    images.push(image);
  }
  return images;
}

// ImageData -> [1, C, H, W] in [-1, 1]; one channel is the luma of BT.601
function toTensor(image, channels) {
  const area = image.width * image.height, data = new Float32Array(channels * area), rgba = image.data;
  for (let p = 0; p < area; p++) {
    if (channels === 1) data[p] = Math.round(0.299 * rgba[4 * p] + 0.587 * rgba[4 * p + 1] + 0.114 * rgba[4 * p + 2]) / 127.5 - 1;
    else for (let c = 0; c < channels; c++) data[c * area + p] = rgba[4 * p + c] / 127.5 - 1;
  }
  return new ort.Tensor("float32", data, [1, channels, image.height, image.width]);
}

// z: rows of numbers; labels: a class number each; returns ImageData and the milliseconds it took
async function draw(z, labels, truncation) {
  const feeds = { z: new ort.Tensor("float32", Float32Array.from(z.flat()), [z.length, facts.latent_dim]) };
  feeds.truncation = new ort.Tensor("float32", Float32Array.of(truncation), []);
  if (facts.classes) feeds.label = new ort.Tensor("int64", BigInt64Array.from(labels.map(BigInt)), [z.length]);
  const before = performance.now();
  const made = await session.run(feeds);
  return { images: toImages(made.pictures), ms: performance.now() - before };
}

// image, mask: ImageData; the mask's red is 255 where to fill
async function translate(image, mask) {
  const feeds = { picture: toTensor(image, facts.inputs) };
  if (facts.mask) {
    const where = Float32Array.from({ length: image.width * image.height }, (_, p) => (mask.data[4 * p] > 127 ? 1 : 0));
    feeds.mask = new ort.Tensor("float32", where, [1, 1, image.height, image.width]);
  }
  const before = performance.now();
  const made = await session.run(feeds);
  return { image: toImages(made.pictures)[0], ms: performance.now() - before };
}

function say(text, bad = false) { $("status").textContent = text; $("status").className = bad ? "bad" : ""; }
function put(canvas, image) { canvas.width = image.width; canvas.height = image.height; canvas.getContext("2d").putImageData(image, 0, 0); }
const speed = (n, ms) => `${n} picture${n > 1 ? "s" : ""} in ${ms.toFixed(0)} ms (${(1000 * n / ms).toFixed(n < ms ? 0 : 1)} a second), on one core of your processor.`;

// --- generators ----------------------------------------------------------------------------------------------------

function normals(seed, n) {
  let state = seed >>> 0;
  const uniform = () => { // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
  return Array.from({ length: n }, () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}

// seed 0 shows what `gansmith sample --seed 0` draws; other seeds are this page's own
function latents(seed, n) {
  if (seed === 0 && n <= facts.latents.length) return facts.latents.slice(0, n);
  return Array.from({ length: n }, (_, i) => normals(seed * 4096 + i, facts.latent_dim));
}

// along the great circle, as latents lie on a sphere
function between(a, b, t) {
  const dot = a.reduce((sum, x, i) => sum + x * b[i], 0), norm = (v) => Math.hypot(...v);
  const angle = Math.acos(Math.max(-1, Math.min(1, dot / (norm(a) * norm(b)))));
  if (angle < 1e-3) return a.map((x, i) => x + t * (b[i] - x));
  return a.map((x, i) => (Math.sin((1 - t) * angle) * x + Math.sin(t * angle) * b[i]) / Math.sin(angle));
}

const COUNT = 16, KNOBS = 8;

function generatorPage() {
  const names = facts.class_names.length ? facts.class_names : Array.from({ length: facts.classes || 0 }, (_, i) => String(i));
  $("main").innerHTML = `
    <section><h2>New pictures</h2>
      <div class="row"><button class="main" id="more">Draw ${COUNT} more</button>
        <label>Seed <input type="number" id="seed" value="0" min="0" max="1000000"></label>
        <label>Variety <input type="range" id="truncation" min="0" max="1.3" step="0.05" value="1"><output id="truncation-value">1.00</output></label>
        ${facts.classes ? `<label>Class <select id="label"><option value="-1">every one</option></select></label>` : ""}</div>
      <div id="wall"></div></section>
    <section><h2>The chosen picture</h2>
      <div class="two"><canvas id="large" width="1" height="1" role="img" aria-label="The chosen picture"></canvas><div>
        <div class="row"><button id="walk">Walk</button><label>Pace <input type="range" id="pace" min="0.1" max="2" step="0.1" value="0.5"></label><button id="reset">Sliders to 0</button><button id="save">Save</button></div>
        <div id="knobs"></div></div></div></section>`;
  if (facts.classes) names.forEach((name, i) => $("label").append(new Option(name, i)));
  const directions = Array.from({ length: KNOBS }, (_, k) => { const v = normals(900001 + k, facts.latent_dim), l = Math.hypot(...v); return v.map((x) => x / l); });
  directions.forEach((_, k) => {
    const label = document.createElement("label");
    label.innerHTML = `${k + 1} <input type="range" min="-6" max="6" step="0.1" value="0" aria-label="direction ${k + 1}">`;
    $("knobs").append(label);
  });
  const knobs = [...$("knobs").querySelectorAll("input")];
  const state = { z: [], labels: [], chosen: 0, walking: false, busy: false, again: false };
  const truncation = () => Number($("truncation").value);

  async function wall() {
    const picked = facts.classes ? Number($("label").value) : -1;
    state.z = latents(Math.max(0, Math.floor(Number($("seed").value)) || 0), COUNT);
    state.labels = state.z.map((_, i) => (picked < 0 ? i % (facts.classes || 1) : picked));
    const made = await draw(state.z, state.labels, truncation());
    $("wall").replaceChildren(...made.images.map((image, i) => {
      const canvas = document.createElement("canvas");
      put(canvas, image);
      const pick = () => redraw(() => choose(i));
      Object.assign(canvas, { tabIndex: 0, onclick: pick, onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(); } } });
      canvas.setAttribute("role", "button");
      canvas.setAttribute("aria-label", `Picture ${i + 1}`);
      return canvas;
    }));
    say(speed(COUNT, made.ms));
    $("status").dataset.ms = made.ms;
    await choose(Math.min(state.chosen, COUNT - 1));
  }
  async function choose(i) {
    state.chosen = i;
    [...$("wall").children].forEach((canvas, j) => { canvas.classList.toggle("on", i === j); canvas.setAttribute("aria-pressed", String(i === j)); });
    await large(state.z[i], state.labels[i]);
  }
  async function large(z, label) {
    const moved = z.map((x, d) => x + knobs.reduce((sum, knob, k) => sum + Number(knob.value) * directions[k][d], 0));
    const made = await draw([moved], [label], truncation());
    put($("large"), made.images[0]);
    return made.ms;
  }
  // one at a time; what was asked for meanwhile is done once afterwards
  async function redraw(what) {
    if (state.busy) { state.again = what; return; }
    state.busy = true;
    try { await what(); } catch (error) { say(String(error), true); }
    state.busy = false;
    if (state.again) { const next = state.again; state.again = false; redraw(next); }
  }
  async function walk() {
    const place = () => `${$("seed").value} ${state.chosen}`;
    let from = state.chosen, t = 0, last = performance.now(), frames = 0, since = last, start = place();
    while (state.walking) {
      if (state.again) { // new pictures, another class or another start: do it, and walk on from there
        const asked = state.again;
        state.again = false;
        await asked();
        if (place() !== start) { from = state.chosen; t = 0; start = place(); }
        last = performance.now();
      }
      const to = (from + 1) % COUNT;
      await large(between(state.z[from], state.z[to], t), state.labels[state.chosen]);
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      t += Number($("pace").value) * (now - last) / 1000;
      last = now;
      if (t >= 1) { t = 0; from = to; }
      if (++frames && now - since > 1000) { say(`${(1000 * frames / (now - since)).toFixed(0)} pictures a second while walking.`); frames = 0; since = now; }
    }
  }
  $("more").onclick = () => { $("seed").value = Number($("seed").value) + 1; redraw(wall); };
  $("seed").onchange = () => redraw(wall);
  if (facts.classes) $("label").onchange = () => redraw(wall);
  $("truncation").oninput = () => { $("truncation-value").textContent = truncation().toFixed(2); redraw(wall); };
  knobs.forEach((knob) => { knob.oninput = () => { if (!state.walking) redraw(() => large(state.z[state.chosen], state.labels[state.chosen])); }; }); // a walk reads them itself
  $("reset").onclick = () => { knobs.forEach((knob) => { knob.value = 0; }); redraw(() => choose(state.chosen)); };
  function stopped() {
    state.walking = false;
    $("walk").textContent = "Walk";
    $("walk").classList.remove("on");
  }
  $("walk").onclick = () => {
    if (state.walking) return stopped();
    state.walking = true;
    $("walk").textContent = "Stop";
    $("walk").classList.add("on");
    return redraw(async () => { try { await walk(); } finally { stopped(); } });
  };
  $("save").onclick = () => download($("large"));
  return wall();
}

function download(canvas) {
  const link = document.createElement("a");
  link.download = `${facts.family}.png`;
  link.href = canvas.toDataURL("image/png");
  link.click();
}

start().then(() => {
  $("main").hidden = false;
  $("about").textContent = facts.about;
  return facts.kind === "generator" ? generatorPage() : translatorPage();
}).then(() => { window.gansmith = { facts, draw, translate, ready: true }; })
  .catch((error) => { say(`This page could not start: ${error}. It needs a browser of 2023 or later.`, true); window.gansmith = { error: String(error) }; });

// Repair & translate: pictures in, a mask painted where the model wants one, the results beside them and kept.
import { get, post, upload } from "../api.js";
import { keep, link } from "../address.js";
import { compare } from "../compare.js";
import { button, chip, debounce, empty, field, fill, h, icon, iconButton, note, poll, segments, select, slider, toast, trouble } from "../dom.js";
import { Editor } from "../editor.js";
import { PICTURE, dropped, fromClipboard, pasted, visible } from "../files.js";
import { duration, shortName } from "../format.js";
import { t, tOr } from "../i18n.js";
import { readyModels } from "../ready.js";
import { history, picture as pictureOf, strip } from "../repair_list.js";

const AT_ONCE = 3;
const TOOLS = [["paint", "pen", "b"], ["erase", "eraser", "e"], ["box", "box", "r"], ["move", "hand", "h"]];

export async function open(main, query) {
  const body = h("div");
  fill(main, h("header", { class: "head" }, h("div", {}, h("h1", {}, t("repair.title")), h("p", {}, t("repair.about")))), body);
  post("/api/repair/warm").catch(() => {}); // it starts while somebody still chooses
  const models = (await get("/api/models")).filter((run) => run.translates);
  if (!models.length) {
    // a ready model repairs in the first minute
    const ready = readyModels({ tasks: ["upscale", "repair", "translate"], changed: (name) => { location.hash = link("repair", { model: `models/${name}` }); } });
    fill(body, h("div", { class: "stack" }, h("div", { class: "card" }, empty("repair", t("repair.none"), t("repair.noneText"))), ready.element,
      h("p", { class: "muted" }, t("repair.orTrain"), " ", h("a", { href: link("train", { family: "inpaint" }) }, t("repair.trainInpaint")))));
    return ready.stop;
  }
  let model = models.find((run) => run.id === query.get("model")) || models[0];
  let facts = null;
  let job = null; // what the server knows: its pictures, and how far it is
  let at = Number(query.get("picture")) || 0;
  let editor = null;
  let saved = Promise.resolve();
  let direction = query.get("direction") || "ab";
  let edges = query.get("edges") !== "no";
  let active = null; // what keys zoom
  let left = false;
  const side = h("div", { class: "card stack first" });
  const doing = h("div", { class: "card stack third" });
  const stage = h("div", { class: "stack second" });
  const past = history((id) => openJob(id, 0, true), () => job?.id, (id) => { if (job?.id === id) openNothing(); });
  fill(body, h("div", { class: "split repair" }, h("div", { class: "stack column" }, side, doing), h("div", { class: "stack column" }, stage, past.element)));

  const input = h("input", { type: "file", accept: "image/*", multiple: true, hidden: true, "data-role": "picture", onchange: () => { take([...input.files].map((f) => [f.name, f])); input.value = ""; } });
  const folder = h("input", { type: "file", webkitdirectory: true, multiple: true, hidden: true, onchange: () => { take([...folder.files].map((f) => [f.webkitRelativePath || f.name, f])); folder.value = ""; } });
  const told = h("p", { class: "help", "aria-live": "polite" });
  const bar = h("i");
  const progress = h("div", { class: "bar", hidden: true, style: { width: "100%" } }, bar);
  const drop = h("div", { class: "drop tall" }, icon("picture"), h("h2", {}, t("repair.drop")), told, progress,
    h("div", { class: "row wrap" }, button(t("repair.choose"), () => input.click(), { symbol: "upload" }), button(t("repair.folder"), () => folder.click(), { symbol: "folder" }), button(t("repair.paste"), paste, { symbol: "paste" })));
  const hidden = h("div", { hidden: true }, input, folder);
  body.append(hidden);
  for (const [name, on] of [["dragover", true], ["dragleave", false]]) stage.addEventListener(name, (event) => { event.preventDefault(); drop.classList.toggle("over", on); });
  stage.addEventListener("drop", async (event) => { event.preventDefault(); drop.classList.remove("over"); take(await dropped(event)); });

  async function paste() {
    try {
      const found = await fromClipboard();
      if (found.length) await take(found);
      else toast(t("repair.noPicture"));
    } catch { toast(t("repair.pasteKeys")); }
  }

  /** Upload pictures: into the repair that is being prepared, or a new one. */
  async function take(entries) {
    const pictures = visible(entries).filter(([name, file]) => PICTURE.test(name) || file.type?.startsWith("image/"));
    if (!pictures.length) { if (entries.length) toast(t("repair.noPicture"), "bad"); return; }
    await store();
    let id = job?.status === "draft" ? job.id : "";
    const before = id ? job.list.length : 0;
    const refused = [];
    let finished = 0;
    fill(stage, drop);
    progress.hidden = false;
    const one = async ([name, file]) => {
      try { id = (await upload("/api/upload/picture", { name, ...(id ? { job: id } : {}) }, file)).job; } catch (error) { refused.push(error); }
      finished += 1;
      bar.style.width = `${(100 * finished) / pictures.length}%`;
      told.textContent = t("repair.uploading", { n: finished, of: pictures.length });
    };
    await one(pictures.shift()); // which makes the repair that the others go into
    const work = async () => { while (pictures.length) await one(pictures.shift()); };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    progress.hidden = true;
    told.textContent = t("repair.kinds");
    if (refused.length) toast(refused.length === 1 ? refused[0].message : t("repair.refused", { n: refused.length, first: refused[0].message }), "bad");
    if (id) await openJob(id, before);
    else draw();
  }

  /** Show a repair that the server has; `push` makes Back return to what was shown. */
  async function openJob(id, number = 0, push = false) {
    await store();
    try { job = await get("/api/repair", { job: id }); } catch (error) { job = null; trouble(error); }
    at = Math.min(number, Math.max(0, (job?.list.length || 1) - 1));
    const other = job && models.find((run) => run.id === job.model);
    keep({ job: job?.id, picture: at || "" }, { push });
    if (other && other.id !== model.id) await choose(other.id);
    else draw();
  }

  const modelField = () => field(t("repair.model"), select(t("repair.model"), models.map((run) => [run.id, shortName(run.id)]), model.id, choose));

  async function choose(id) {
    model = models.find((run) => run.id === id);
    facts = null; // of the last model
    keep({ model: id });
    let found;
    try { found = await get("/api/model", { model: id }); } catch (error) { found = error; }
    if (model.id !== id || left) return; // another one was chosen while this came
    if (found instanceof Error) {
      fill(side, modelField());
      doing.hidden = true;
      fill(stage, h("div", { class: "card" }, empty("alert", t("repair.cannot"), found.message)));
      return;
    }
    facts = found;
    if (!facts.directions.includes(direction)) [direction] = facts.directions;
    draw();
  }

  const ready = () => job?.status === "draft" && job.list.length > 0;

  function draw() {
    if (!facts) return; // the model is being loaded; everything is drawn once it is there
    const preparing = !job || job.status === "draft";
    const masked = facts.takes_mask && ready();
    const name = tOr(`repair.go.${model.family}`, t("repair.goOther"));
    const go = preparing && button(name.replace("{scale}", facts.scale), start, { kind: "primary wide", symbol: "repair", disabled: !ready(), "data-role": "go" });
    const tools = h("div", { class: "stack tight", hidden: !masked });
    fill(side, modelField(),
      h("div", { class: "row wrap" }, chip("plain", facts.family), facts.scale > 1 && chip("plain", `x${facts.scale}`)),
      h("p", { class: "help" }, tOr(`repair.says.${model.family}`, ""), " ", h("a", { href: link("models") }, t("repair.more"))),
      facts.directions.length > 1 && h("div", { class: "field" }, h("span", { class: "label" }, t("repair.direction")), segments(t("repair.direction"), facts.directions.map((d) => [d, t(`repair.${d}`)]), direction, (v) => { direction = v; keep({ direction: v === "ab" ? "" : v }); })),
      model.family === "sketch" && h("label", { class: "switch" }, h("input", { type: "checkbox", role: "switch", checked: edges, onchange: (event) => { edges = event.target.checked; keep({ edges: edges ? "" : "no" }); } }), t("repair.edges")));
    fill(doing, tools, go && h("div", { class: "thumb" }, go), job && button(t("repair.another"), () => { openNothing(); }, { kind: "quiet wide", symbol: "upload" }));
    doing.hidden = !job?.list.length;
    editor = null;
    active = null;
    if (!job?.list.length) { told.textContent = t("repair.kinds"); fill(stage, drop); past.refresh(); return; }
    const here = job.list[at];
    const many = strip(job, at, show, preparing ? removePicture : null);
    if (preparing) drawPreparing(here, many, tools, masked);
    else drawBegun(here, many);
    past.refresh();
  }

  function openNothing() {
    job = null;
    at = 0;
    keep({ job: "", picture: "" }, { push: true });
    draw();
  }

  async function show(number) {
    await store();
    at = number;
    keep({ picture: at || "" });
    draw();
  }

  async function removePicture(number) {
    await store();
    const rest = job.list.map((_, i) => i).filter((i) => i !== number);
    if (!rest.length) { openNothing(); return; }
    try { await openJob((await post("/api/repair/again", { job: job.id, pictures: rest })).id, Math.min(at, rest.length - 1)); } catch (error) { trouble(error); }
  }

  /** A picture that is not yet worked on: painted where the model takes a mask. */
  function drawPreparing(here, many, tools, masked) {
    const source = pictureOf(job.id, at, "seen");
    editor = new Editor(source, here.width, here.height, () => { editor.dirty = true; storeSoon(); });
    editor.choose(masked ? "paint" : "move");
    active = editor.zoom;
    if (masked) {
      const size = slider(t("repair.brush"), { min: 1, max: Math.max(8, Math.round(Math.min(here.width, here.height) / 3)), step: 1, value: editor.size, show: (v) => `${v} px`, oninput: (v) => { editor.size = v; editor.follow(); } });
      const chosen = segments(t("repair.tool"), TOOLS.map(([key, , letter]) => [key, t(`repair.tool.${key}`), `${t(`repair.tool.${key}`)} (${letter.toUpperCase()})`]), "paint", (v) => editor.choose(v));
      editor.shown = { size, chosen };
      const file = h("input", { type: "file", accept: "image/*", hidden: true, "data-role": "mask", onchange: () => { if (file.files[0]) editor.fromFile(file.files[0]).catch(() => toast(t("repair.maskBroken"), "bad")); file.value = ""; } });
      fill(tools, chosen, size,
        h("div", { class: "row wrap icons" }, iconButton(t("repair.undo"), "undo", () => editor.undo()), iconButton(t("repair.redo"), "redo", () => editor.redo()), iconButton(t("repair.invert"), "invert", () => editor.invert()), iconButton(t("repair.clear"), "trash", () => editor.clear())),
        h("div", { class: "row wrap" }, button(t("repair.maskFile"), () => file.click(), { kind: "slim" }), button(t("repair.maskAlpha"), async () => { if (!await editor.fromAlpha()) toast(t("repair.noAlpha")); }, { kind: "slim" }),
          job.list.length > 1 && button(t("repair.maskAll"), maskAll, { kind: "slim" })), file,
        h("p", { class: "help keys" }, t("repair.keys")));
      if (here.masked) { const old = new Image(); old.onload = () => editor?.begin(old); old.src = `${pictureOf(job.id, at, "mask")}&${Date.now()}`; }
    }
    fill(stage, h("div", { class: "card stack" }, h("div", { class: "row between wrap" }, h("h2", { class: "cut" }, masked ? t("repair.paintTitle") : here.name), h("div", { class: "row wrap" }, h("span", { class: "small muted number whole" }, `${here.width} x ${here.height}`), editor.zoom.bar)), editor.element, many));
  }

  const storeSoon = debounce(600, () => store());

  /** What is painted goes to the server, so that a reload finds it. */
  function store() {
    if (!editor?.dirty || job?.status !== "draft") return saved;
    editor.dirty = false;
    const [painting, id, number] = [editor, job.id, at];
    saved = saved.then(async () => {
      const { painted } = await upload("/api/upload/mask", { job: id, picture: number }, await painting.blob() || new Blob([]));
      if (job?.id === id && job.list[number]) { job.list[number].masked = painted; strip.mark(stage, number, painted); }
    }).catch(trouble);
    return saved;
  }

  /** The same mask for every picture of the same shape. */
  async function maskAll() {
    await store();
    const mask = await editor.blob();
    if (!mask) { toast(t("repair.paintFirst")); return; }
    const same = job.list.map((p, i) => [p, i]).filter(([p, i]) => i !== at && p.width * job.list[at].height === p.height * job.list[at].width);
    for (const [, i] of same) await upload("/api/upload/mask", { job: job.id, picture: i }, mask);
    toast(t("repair.maskedAll", { n: same.length + 1 }));
    await openJob(job.id, at);
  }

  async function start() {
    const go = doing.querySelector("[data-role=go]");
    if (!facts) return; // of a model that is being loaded
    if (facts.takes_mask && editor && !editor.painted && job.list.length === 1) { toast(t("repair.paintFirst")); return; }
    go.disabled = true;
    try {
      await store();
      job = await post("/api/repair/start", { job: job.id, model: model.id, direction, edges: model.family === "sketch" && edges });
      draw();
      if (innerWidth < 1000) stage.scrollIntoView({ block: "start" });
      ticker();
    } catch (error) { trouble(error); go.disabled = false; }
  }

  /** A repair that waits, runs or has ended. */
  function drawBegun(here, many) {
    const busy = ["queued", "running"].includes(job.status);
    const card = h("div", { class: "card stack", "data-status": job.status });
    fill(stage, card);
    if (busy) { drawBusy(card, here, many); return; }
    const made = here.result;
    const whole = h("div", { class: "row wrap" },
      job.finished > 1 && h("a", { class: "button", href: `/api/repair/zip?job=${job.id}` }, icon("download"), t("repair.zip", { n: job.finished })),
      button(t("repair.redo2"), async () => { try { await openJob((await post("/api/repair/again", { job: job.id })).id, at, true); } catch (error) { trouble(error); } }, { symbol: "again" }));
    if (!made || made.reason) {
      fill(card, h("div", { class: "row between wrap" }, h("h2", { class: "cut" }, here.name), chip(job.status, t(`status.${job.status}`))),
        note("bad", "alert", made?.reason || job.error || t("repair.stopped")), many, whole);
      return;
    }
    const view = compare(pictureOf(job.id, at, job.given.includes(at) ? "given" : "seen"), pictureOf(job.id, at, "result"), made.width, made.height, made.box);
    active = view.zoom;
    fill(card, h("div", { class: "row between wrap" }, h("h2", { class: "cut" }, job.list.length > 1 ? here.name : t("repair.beforeAfter")), h("div", { class: "row wrap" }, h("span", { class: "small muted number whole" }, t("repair.made", { width: String(made.width), height: String(made.height), time: duration(made.seconds) })), view.bar)),
      view.element, made.note && h("p", { class: "help" }, made.note), many,
      h("div", { class: "row wrap thumb" }, h("a", { class: "button primary", href: `${pictureOf(job.id, at, "result")}&save=1`, download: here.name.split("/").pop() }, icon("download"), t("repair.download")),
        button(t("repair.goOn"), async () => { try { await openJob((await post("/api/repair/again", { job: job.id, side: "out", pictures: [at] })).id, 0, true); } catch (error) { trouble(error); } }, { symbol: "pen" }), whole));
  }

  function drawBusy(card, here, many) {
    fill(card, h("div", { class: "row between wrap" }, h("h2", { class: "cut" }, here.name), button(t("repair.stop"), async () => { try { await post("/api/repair/stop", { job: job.id }); job.stopping = true; drawProgress(card); } catch (error) { trouble(error); } }, { symbol: "stop", kind: "slim" })),
      h("div", { class: "bar" }, h("i")), h("p", { class: "small muted number", "data-role": "progress", role: "status" }), h("div", { class: "waiting-picture", style: { "--ratio": here.width / here.height } }, h("img", { src: pictureOf(job.id, at, "seen"), alt: t("repair.yourPicture") })), many);
    drawProgress(card);
  }

  function drawProgress(card) {
    const { progress: p } = job;
    const known = p && !p.loading && (p.share > 0 || p.of > 1);
    const line = card.querySelector(".bar");
    line.classList.toggle("waiting", !known);
    line.firstChild.style.width = `${known ? Math.max(1, 100 * p.share) : 30}%`;
    line.dataset.share = p?.share ?? "";
    const words = [];
    if (job.stopping) words.push(t("repair.stopping"));
    else if (job.status === "queued") words.push(t("repair.waits"));
    else if (p?.loading) words.push(t("repair.loading"));
    else if (p) {
      if (job.list.length > 1) words.push(t("repair.pictureOf", { n: p.picture + 1, of: job.list.length }));
      if (p.of > 1) words.push(t("repair.tileOf", { n: p.done, of: p.of }));
      if (p.left !== null) words.push(t("repair.left", { time: duration(Math.max(1, p.left)) }));
      words.push(t("repair.spent", { time: duration(p.spent) }));
    }
    card.querySelector("[data-role=progress]").textContent = words.join(" · ");
  }

  let ticking = false;
  async function ticker() {
    if (ticking || left || !job || !["queued", "running"].includes(job.status)) return;
    ticking = true;
    try {
      const fresh = await get("/api/repair", { job: job.id });
      if (job?.id === fresh.id && !left) {
        const over = !["queued", "running"].includes(fresh.status);
        const grown = fresh.finished + fresh.failed !== job.finished + job.failed;
        job = fresh;
        if (over) draw();
        else {
          if (grown) strip.update(stage, job);
          drawProgress(stage.querySelector(".card"));
        }
      }
    } catch { /* the next one tries again */ }
    ticking = false;
  }
  const end = poll(0.5, ticker);

  function press(event) {
    if (event.target.closest("input:not([type=checkbox], [type=range]), select, textarea, dialog") || event.altKey) return;
    const command = event.ctrlKey || event.metaKey;
    const act = (f) => { event.preventDefault(); f(); };
    const key = event.key.toLowerCase();
    if (command && key === "z" && editor) act(() => (event.shiftKey ? editor.redo() : editor.undo()));
    else if (command && key === "y" && editor) act(() => editor.redo());
    if (command || !active) return;
    if (key === "+" || key === "=") act(() => active.by(1.5));
    else if (key === "-") act(() => active.by(1 / 1.5));
    else if (key === "0") act(() => active.fit());
    else if (key === "1") act(() => active.one());
    if (!editor?.shown) return;
    const tool = TOOLS.find(([, , letter]) => letter === key);
    if (tool) act(() => { editor.shown.chosen.set(tool[0]); editor.choose(tool[0]); });
    else if (key === "i") act(() => editor.invert());
    else if (key === "[" || key === "]") act(() => { editor.size = Math.max(1, Math.round(editor.size * (key === "]" ? 1.25 : 0.8)) + (key === "]" ? 1 : 0)); editor.shown.size.set(editor.size); editor.follow(); });
  }
  const onpaste = (event) => { const found = pasted(event); if (found.length) { event.preventDefault(); take(found); } };
  window.addEventListener("keydown", press);
  window.addEventListener("paste", onpaste);

  const wanted = query.get("job");
  if (wanted) { try { job = await get("/api/repair", { job: wanted }); } catch (error) { trouble(error); keep({ job: "", picture: "" }); } }
  if (job?.model && !query.get("model")) model = models.find((run) => run.id === job.model) || model;
  at = Math.min(at, Math.max(0, (job?.list.length || 1) - 1));
  await choose(model.id);
  return () => { left = true; store(); end(); past.stop(); window.removeEventListener("keydown", press); window.removeEventListener("paste", onpaste); };
}

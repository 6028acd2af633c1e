// Data: choose a standard set, something in the workspace, or upload; then look at it before training on it.
import { address, get, post, upload } from "../api.js";
import { keep, link } from "../address.js";
import { ask, button, chip, empty, fill, h, icon, iconButton, note, poll, toast, trouble } from "../dom.js";
import { PICTURE, dropped, visible } from "../files.js";
import { bytes } from "../format.js";
import { t } from "../i18n.js";
import { report } from "../report.js";

const ARCHIVE = /\.(zip|npz)$/i;
const AT_ONCE = 4;

export async function open(main, query) {
  const shown = h("section", { class: "stack", "aria-label": t("data.chosen") });
  const lists = h("div", { class: "stack" });
  let chosen = query.get("spec");
  let known = { standard: [], workspace: [] };
  let stop = null;

  const choose = (spec, { scroll = true, push = true } = {}) => {
    chosen = spec;
    keep({ spec }, { push });
    mark();
    stop?.();
    const set = known.standard.find((row) => row.name === spec.split(/[:[]/)[0]);
    stop = set && !set.ready ? offer(set, spec) : look(shown, spec, { changed: redraw, choose });
    if (scroll && innerWidth < 1000) shown.scrollIntoView({ behavior: "smooth", block: "start" });
  };
  const mark = () => { for (const element of lists.querySelectorAll("[data-spec]")) element.setAttribute("aria-pressed", String(element.dataset.spec === chosen)); };

  /** A set that has to be downloaded: only once somebody has said so. */
  const offer = (set, spec) => {
    fill(shown, h("div", { class: "card" }, empty("download", t("data.downloadTitle", { name: spec, size: size(set) }), t("data.downloadText", { about: set.about }),
      button(t("data.download"), () => { stop = look(shown, spec, { changed: redraw, choose }); }, { kind: "primary", symbol: "download" }))));
    return null;
  };
  const size = (set) => (set.megabytes >= 1000 ? `${(set.megabytes / 1000).toFixed(1)} GB` : `${set.megabytes} MB`);

  const tile = (spec, title, about, ...more) => h("button", { type: "button", class: "choice grow", "data-spec": spec, "aria-pressed": String(spec === chosen), onclick: () => choose(spec) },
    h("span", { class: "row between" }, h("b", { class: "cut" }, title), more), h("span", {}, about));
  const standard = (set) => tile(set.name, set.name, set.about, set.ready ? chip("good plain", t("data.ready")) : chip("plain", size(set)));
  const about = (row) => (row.kind !== "folder" ? `${row.kind}, ${bytes(row.bytes)}` : row.classes ? t("data.classFolders", { n: row.classes }) : row.pictures > 3000 ? t("data.over") : t("data.pictures", { n: row.pictures }));
  const own = (row) => h("div", { class: "job" }, tile(row.spec, row.spec, about(row)),
    row.spec.startsWith("data/") && row.spec.split("/").length === 2 && [iconButton(t("data.renameOne", { name: row.spec }), "pen", () => rename(row)), iconButton(t("data.deleteOne", { name: row.spec }), "trash", () => remove(row))]);

  async function rename(row) {
    const old = row.spec.split("/").pop();
    const name = await ask(t("data.renameTitle"), t("data.renameText"), { confirm: t("data.rename"), value: old });
    if (!name || name === old) return;
    try {
      const { set } = await post("/api/data/rename", { set: row.spec, name });
      await draw();
      if (chosen === row.spec) choose(set, { scroll: false, push: false });
    } catch (error) { trouble(error); }
  }

  async function remove(row) {
    if (!await ask(t("data.deleteTitle", { name: row.spec }), t("data.deleteText"), { confirm: t("data.delete"), danger: true })) return;
    try {
      const gone = await post("/api/data/delete", { set: row.spec });
      if (chosen === row.spec) { stop?.(); chosen = null; keep({ spec: "" }); nothing(); }
      await draw();
      toast(t("data.inTrash", { name: row.spec }), "", [t("data.undo"), async () => { try { await post("/api/trash/restore", { id: gone.trash }); await draw(); } catch (error) { trouble(error); } }]);
    } catch (error) { trouble(error); }
  }

  const draw = async () => {
    known = await get("/api/data");
    fill(lists,
      dropZone(async (spec) => { await draw(); choose(spec); }),
      h("div", { class: "card stack" }, h("h2", {}, t("data.workspace")),
        known.workspace.length ? h("div", { class: "stack tight" }, known.workspace.map(own)) : h("p", { class: "muted small" }, t("data.workspaceEmpty", { root: known.root }))),
      h("div", { class: "card stack" }, h("h2", {}, t("data.standard")),
        h("div", { class: "stack tight" }, known.standard.filter((set) => set.ready).map(standard)),
        h("details", {}, h("summary", {}, t("data.more"), h("span", { class: "muted small" }, t("data.moreText"))), h("div", { class: "stack tight", style: { "margin-top": "8px" } }, known.standard.filter((set) => !set.ready).map(standard)))));
  };
  /** After files were taken out, or a download has ended. */
  const redraw = () => draw().catch(trouble);

  fill(main,
    h("header", { class: "head" }, h("div", {}, h("h1", {}, t("data.title")), h("p", {}, t("data.about")))),
    h("div", { class: `split data ${chosen ? "looking" : ""}` }, lists, shown)); // on a phone, a link to a set shows the set
  const nothing = () => fill(shown, h("div", { class: "card" }, empty("picture", t("data.nothing"), t("data.nothingText"), button(t("data.lookAt", { name: "mnist10k" }), () => choose("mnist10k"), { kind: "primary" }))));
  nothing();
  await draw();
  if (chosen) choose(chosen, { scroll: false, push: false });
  return () => stop?.();
}

/** A place to drop a folder, pictures or a zip. */
function dropZone(done) {
  const bar = h("i");
  const told = h("p", { class: "help", "aria-live": "polite" }, t("data.hint"));
  const progress = h("div", { class: "bar grow", hidden: true, style: { width: "100%" } }, bar);
  const folder = h("input", { type: "file", multiple: true, webkitdirectory: true, hidden: true, onchange: () => take([...folder.files].map((f) => [f.webkitRelativePath || f.name, f])) });
  const files = h("input", { type: "file", multiple: true, accept: "image/*,.zip,.npz", hidden: true, "data-role": "files", onchange: () => take([...files.files].map((f) => [f.name, f])) });
  const zone = h("div", { class: "drop" }, icon("upload"), h("h2", {}, t("data.drop")), told, progress,
    h("div", { class: "row" }, button(t("data.folder"), () => folder.click(), { symbol: "folder", kind: "slim" }), button(t("data.files"), () => files.click(), { symbol: "picture", kind: "slim" })), folder, files);

  async function take(entries) {
    const wanted = visible(entries).filter(([name]) => PICTURE.test(name) || ARCHIVE.test(name));
    if (!wanted.length) return toast(t("data.noPictures"), "bad");
    progress.hidden = false;
    const refused = [];
    let spec = null;
    try {
      for (const [name, file] of wanted.filter(([other]) => ARCHIVE.test(other))) {
        told.textContent = t("data.uploadingOne", { name: name.split("/").pop() });
        progress.classList.add("waiting");
        try { spec = (await upload("/api/upload/data", { path: name.split("/").pop() }, file)).spec; } catch (error) { refused.push(error); }
      }
      progress.classList.remove("waiting");
      const pictures = wanted.filter(([name]) => !ARCHIVE.test(name));
      if (pictures.length) spec = await takePictures(pictures, refused) || spec;
    } finally {
      progress.hidden = true;
      told.textContent = t("data.hint");
    }
    if (refused.length) toast(refused.length === 1 ? refused[0].message : t("data.refused", { n: refused.length, first: refused[0].message }), "bad");
    if (spec) await done(spec);
    return undefined;
  }

  async function takePictures(pictures, refused) {
    // one folder is the set; of several each is a class
    const tops = new Set(pictures.map(([name]) => (name.includes("/") ? name.split("/")[0] : "")));
    const top = tops.size === 1 && !tops.has("") ? [...tops][0] : "pictures";
    const within = tops.size === 1 && !tops.has("") ? top.length + 1 : 0;
    const before = refused.length;
    const { set } = await post("/api/data/set", { name: top });
    const waiting = [...pictures];
    let finished = 0;
    const work = async () => {
      while (waiting.length) {
        const [name, file] = waiting.shift();
        try { await upload("/api/upload/data", { set, path: name.slice(within) }, file); } catch (error) { refused.push(error); }
        finished += 1;
        bar.style.width = `${(100 * finished) / pictures.length}%`;
        told.textContent = t("data.uploading", { n: finished, of: pictures.length });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    if (refused.length - before < pictures.length) return set;
    await post("/api/data/set/drop", { set });
    return null;
  }

  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    await take(await dropped(event));
  });
  return zone;
}

/** Check a set and show it. Returns how to stop. */
function look(place, spec, { changed, choose }) {
  let stop = () => {};
  let left = false; // another set was chosen meanwhile
  const bar = h("i");
  const told = h("p", { class: "muted small number", role: "status" }, t("data.opening"));
  fill(place, h("div", { class: "card stack" }, h("h2", { class: "cut" }, spec), h("div", { class: "bar" }, bar), told));
  const failed = (error) => fill(place, h("div", { class: "card stack" }, h("h2", { class: "cut" }, spec), note("bad", "alert", error.message),
    h("div", {}, button(t("data.again"), () => { stop = look(place, spec, { changed, choose }); }, { symbol: "again", kind: "slim" }))));
  post("/api/data/check", { spec }).then(({ id }) => {
    if (left) return;
    stop = poll(0.4, async () => {
      let state;
      try { state = await get("/api/data/check", { id }); } catch (error) {
        if (error.status === 404 && !left) { stop(); failed(error); }
        throw error;
      }
      if (left) return;
      bar.style.width = `${state.total ? (100 * state.done) / state.total : 3}%`;
      told.textContent = state.total ? t("data.lookedAt", { n: state.done, of: state.total }) : t("data.opening");
      if (!state.report && !state.error) return;
      stop();
      if (state.error) { failed(new Error(state.error)); changed(); } else report(place, spec, id, state, { changed, again: () => choose(spec, { scroll: false, push: false }) });
    });
  }).catch((error) => { if (!left) failed(error); });
  return () => { left = true; stop(); };
}


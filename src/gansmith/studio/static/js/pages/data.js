// Data: choose a standard set, something in the workspace, or upload; then look at it before training on it.
import { address, get, post, upload } from "../api.js";
import { button, bytes, chip, empty, fill, h, icon, note, poll, toast } from "../dom.js";

const PICTURE = /\.(jpe?g|jpe|jfif|png|webp|bmp|dib|tiff?|gif|ppm|pgm|pbm|pnm)$/i;
const ARCHIVE = /\.(zip|npz)$/i;
const AT_ONCE = 4;
const HINT = "A folder (sub-folders become classes), pictures, a zip or an .npz. Files stay on the studio’s machine.";

export async function open(main, query) {
  const shown = h("section", { class: "stack", "aria-label": "The chosen set" });
  const lists = h("div", { class: "stack" });
  let chosen = query.get("spec");
  let stop = null;

  const choose = (spec) => {
    chosen = spec;
    for (const element of lists.querySelectorAll("[data-spec]")) element.setAttribute("aria-pressed", String(element.dataset.spec === spec));
    stop?.();
    stop = look(shown, spec);
    if (innerWidth < 1000) shown.scrollIntoView({ behavior: "smooth", block: "start" });
  };
  const tile = (spec, title, about, ...more) => h("button", { type: "button", class: "choice", "data-spec": spec, "aria-pressed": String(spec === chosen), onclick: () => choose(spec) },
    h("span", { class: "row between" }, h("b", { class: "cut" }, title), more), h("span", {}, about));

  const standard = (set) => tile(set.name, set.name, set.about, set.ready ? chip("good plain", "ready") : chip("plain", "downloads"));

  const draw = async () => {
    const found = await get("/api/data");
    fill(lists,
      dropZone(async (spec) => { await draw(); choose(spec); }),
      h("div", { class: "card stack" }, h("h2", {}, "In the workspace"),
        found.workspace.length ? h("div", { class: "stack tight" }, found.workspace.map((row) => tile(row.spec, row.spec,
          row.kind !== "folder" ? `${row.kind}, ${bytes(row.bytes)}` : row.classes ? `${row.classes} class folders` : `${row.pictures > 3000 ? "over 3,000" : row.pictures} pictures`)))
          : h("p", { class: "muted small" }, `Folders of pictures, zips and .npz files in ${found.root} appear here.`)),
      h("div", { class: "card stack" }, h("h2", {}, "Standard sets"),
        h("div", { class: "stack tight" }, found.standard.filter((set) => set.ready).map(standard)),
        h("details", {}, h("summary", {}, "More", h("span", { class: "muted small" }, "downloaded when first used")), h("div", { class: "stack tight", style: { "margin-top": "8px" } }, found.standard.filter((set) => !set.ready).map(standard)))));
  };

  fill(main,
    h("header", { class: "head" }, h("div", {}, h("h1", {}, "Data"), h("p", {}, "A GAN learns from examples. Choose some, and look at them before it does."))),
    h("div", { class: "split data" }, lists, shown));
  fill(shown, h("div", { class: "card" }, empty("picture", "Nothing chosen yet", "Choose a set to see its pictures, its sizes and classes, and whatever is wrong with it. The ten thousand digits of mnist10k are part of gansmith and need no download.",
    button("Look at mnist10k", () => choose("mnist10k"), { kind: "primary" }))));
  await draw();
  if (chosen) choose(chosen);
  return () => stop?.();
}

/** A place to drop a folder, pictures or a zip. */
function dropZone(done) {
  const bar = h("i");
  const told = h("p", { class: "help", "aria-live": "polite" }, HINT);
  const progress = h("div", { class: "bar grow", hidden: true, style: { width: "100%" } }, bar);
  const folder = h("input", { type: "file", multiple: true, webkitdirectory: true, hidden: true, onchange: () => take([...folder.files].map((f) => [f.webkitRelativePath || f.name, f])) });
  const files = h("input", { type: "file", multiple: true, accept: "image/*,.zip,.npz", hidden: true, "data-role": "files", onchange: () => take([...files.files].map((f) => [f.name, f])) });
  const zone = h("div", { class: "drop" }, icon("upload"), h("h2", {}, "Drop pictures here"), told, progress,
    h("div", { class: "row" }, button("Folder", () => folder.click(), { symbol: "folder", kind: "slim" }), button("Files or zip", () => files.click(), { symbol: "picture", kind: "slim" })), folder, files);

  async function take(entries) {
    // hidden files are the system's own: ._cat.jpg and __MACOSX on a Mac
    const shown = entries.filter(([name]) => !name.split("/").some((part) => part.startsWith(".") || part === "__MACOSX"));
    const wanted = shown.filter(([name]) => PICTURE.test(name) || ARCHIVE.test(name));
    if (!wanted.length) return toast("There are no pictures among those files. JPEG, PNG, WebP, BMP, TIFF, GIF, zip and .npz are taken.", "bad");
    progress.hidden = false;
    const refused = [];
    let spec = null;
    let finished = 0;
    try {
      const archives = wanted.filter(([name]) => ARCHIVE.test(name));
      for (const [name, file] of archives) {
        told.textContent = `Uploading ${name.split("/").pop()}`;
        progress.classList.add("waiting");
        try { spec = (await upload("/api/upload/data", { path: name.split("/").pop() }, file)).spec; } catch (error) { refused.push(error.message); }
      }
      progress.classList.remove("waiting");
      const pictures = wanted.filter(([name]) => !ARCHIVE.test(name));
      if (pictures.length) {
        // one folder is the set; of several each is a class
        const tops = new Set(pictures.map(([name]) => (name.includes("/") ? name.split("/")[0] : "")));
        const top = tops.size === 1 && !tops.has("") ? [...tops][0] : "pictures";
        const within = tops.size === 1 && !tops.has("") ? top.length + 1 : 0;
        const before = refused.length;
        const { set } = await post("/api/data/set", { name: top });
        spec = set;
        const waiting = [...pictures];
        const work = async () => {
          while (waiting.length) {
            const [name, file] = waiting.shift();
            const path = name.slice(within);
            try { await upload("/api/upload/data", { set, path }, file); } catch (error) { refused.push(error.message); }
            finished += 1;
            bar.style.width = `${(100 * finished) / pictures.length}%`;
            told.textContent = `${finished.toLocaleString("en")} of ${pictures.length.toLocaleString("en")} pictures`;
          }
        };
        await Promise.all(Array.from({ length: AT_ONCE }, work));
        if (refused.length - before === pictures.length) {
          spec = null;
          await post("/api/data/set/drop", { set });
        }
      }
    } finally {
      progress.hidden = true;
      told.textContent = HINT;
    }
    if (refused.length) toast(refused.length === 1 ? refused[0] : `${refused.length} files were not taken. The first: ${refused[0]}`, "bad");
    if (spec) await done(spec);
    return undefined;
  }

  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const roots = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    await take(roots.length ? (await Promise.all(roots.map((root) => walk(root)))).flat() : [...event.dataTransfer.files].map((f) => [f.name, f]));
  });
  return zone;
}

/** Every file below a dropped folder: [[path, file], ...] */
async function walk(entry, at = "") {
  if (entry.isFile) return [[at + entry.name, await new Promise((resolve, reject) => entry.file(resolve, reject))]];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) return found;
    for (const child of part) found.push(...await walk(child, `${at}${entry.name}/`));
  }
}

/** Check a set and show it. Returns how to stop. */
function look(place, spec) {
  let stop = () => {};
  let left = false; // another set was chosen meanwhile
  const bar = h("i");
  const told = h("p", { class: "muted small number" }, "Opening the pictures");
  fill(place, h("div", { class: "card stack" }, h("h2", { class: "cut" }, spec), h("div", { class: "bar" }, bar), told));
  const failed = (error) => fill(place, h("div", { class: "card stack" }, h("h2", { class: "cut" }, spec), note("bad", "alert", error.message),
    h("div", {}, button("Try again", () => { stop = look(place, spec); }, { symbol: "again", kind: "slim" }))));
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
      told.textContent = state.total ? `${state.done.toLocaleString("en")} of ${state.total.toLocaleString("en")} pictures looked at` : "Opening the pictures";
      if (!state.report && !state.error) return;
      stop();
      if (state.error) failed(new Error(state.error));
      else report(place, spec, id, state);
    });
  }).catch((error) => { if (!left) failed(error); });
  return () => { left = true; stop(); };
}

function report(place, spec, id, { report: found, wall, tile, columns }) {
  const sizes = Object.keys(found.sizes);
  const classes = Object.entries(found.classes);
  const stat = (name, value, more) => h("div", {}, h("dt", {}, name), h("dd", {}, value, more && h("small", {}, ` ${more}`)));
  const troubled = [found.broken_count && `${found.broken_count} broken`, found.duplicates_count && `${found.duplicates_count} with duplicates`, found.ignored_count && `${found.ignored_count} other files`].filter(Boolean);
  const info = h("p", { class: "small muted wall-info", "aria-live": "polite" }, "Point at a picture to see its name.");
  const image = h("img", { src: address("/api/data/wall", { id }), alt: "", hidden: true });
  const tiles = wall.map((row, i) => {
    const x = (i % columns) * tile;
    const y = Math.floor(i / columns) * tile;
    const tell = () => { info.textContent = `${row.name}${row.label ? `, class ${row.label}` : ""}${row.problem ? `: ${row.problem}, ` : ": "}${row.about}`; };
    const canvas = h("canvas", { width: tile, height: tile, tabIndex: 0, role: "img", "aria-label": `${row.name}${row.problem ? `, ${row.problem}` : ""}`, class: row.problem, onpointerenter: tell, onfocus: tell });
    if (row.problem !== "broken") image.addEventListener("load", () => canvas.getContext("2d").drawImage(image, x, y, tile, tile, 0, 0, tile, tile));
    return canvas;
  });
  fill(place,
    h("div", { class: "card stack" },
      h("div", { class: "row between wrap" }, h("h2", { class: "cut" }, spec), h("a", { class: "button primary", href: `#/train?data=${encodeURIComponent(spec)}` }, icon("train"), "Train on this")),
      note(!found.usable ? "bad" : found.broken_count || found.duplicates_count ? "warn" : "good", found.usable && !found.broken_count ? "check" : "alert", found.verdict),
      h("dl", { class: "stats" }, stat("Pictures", found.pictures.toLocaleString("en")), stat("Size", sizes[0] || "-", sizes.length > 1 ? `and ${sizes.length - 1} more` : ""),
        stat("Kind", Object.keys(found.modes).map((m) => ({ L: "grey", RGB: "colour", RGBA: "colour with alpha" })[m] || m).slice(0, 2).join(", ")), stat("Classes", classes.length || "none")),
      found.duplicates.length > 0 && h("p", { class: "small muted" }, `Duplicates make a GAN remember instead of learn: ${found.duplicates.slice(0, 3).map((g) => g.slice(0, 3).join(" = ")).join("; ")}.`)),
    h("div", { class: "card stack" },
      h("div", { class: "row between wrap" }, h("h2", {}, "Picture wall"), troubled.length ? h("div", { class: "row wrap" }, troubled.map((t) => chip("warn", t))) : chip("good", "no problems")),
      h("div", { class: "wall" }, tiles), image, info),
    classes.length > 0 && classes.length <= 120 && h("div", { class: "card stack" }, h("h2", {}, "Classes"), bars(classes)),
    found.broken.length > 0 && h("div", { class: "card stack" }, h("h2", {}, "Left out"), h("ul", { class: "stack tight small" }, found.broken.map(({ file, reason }) => h("li", {}, h("b", {}, file), ": ", h("span", { class: "muted" }, reason))))));
}

function bars(classes) {
  const most = Math.max(...classes.map((c) => c[1]), 1);
  return h("ul", { class: "class-bars" }, classes.map(([name, n]) => h("li", {}, h("span", { class: "cut", title: name }, name), h("span", { class: "bar" }, h("i", { style: { width: `${(100 * n) / most}%` } })), h("span", { class: "number muted" }, n.toLocaleString("en")))));
}

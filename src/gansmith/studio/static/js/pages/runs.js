// Runs: all of them, compared: curves overlaid, samples side by side, numbers in a table.
import { address, get, post } from "../api.js";
import { Chart, colour } from "../chart.js";
import { ask, button, bytes, chip, count, duration, empty, fill, h, icon, iconButton, poll, refill, select, shortName, toast, useOf } from "../dom.js";
import { curves } from "../watch.js";

const MOST = 6;

export async function open(main, query) {
  const chosen = new Set((query.get("compare") || "").split(",").filter(Boolean));
  const list = h("div", { class: "card list" });
  const compared = h("section", { class: "stack", "aria-label": "Comparison" });
  const trash = h("div");
  let runs = [];
  let drawn = "";
  let measure = null;
  let follow = async () => {};
  fill(main, h("header", { class: "head" }, h("div", {}, h("h1", {}, "Runs"), h("p", {}, "Tick some to compare them: their curves, their samples and what was set differently."))), h("div", { class: "stack" }, list, compared, trash));

  async function refresh() {
    runs = await get("/api/runs");
    const text = JSON.stringify(runs);
    if (text === drawn || list.matches(":active")) return; // not under somebody's finger
    drawn = text;
    if (!runs.length) fill(list, empty("runs", "No runs yet", "What you train appears here, whether you start it on the Train page or in a terminal.", h("a", { class: "button primary", href: "#/train" }, icon("train"), "Train one")));
    else drawList();
    if (!chosen.size && runs.some((run) => !run.problem)) { runs.filter((run) => !run.problem).slice(0, 2).forEach((run) => chosen.add(run.id)); drawList(); compare(); } else await follow();
  }

  function drawList() {
    const scores = [...new Set(runs.flatMap((run) => Object.keys(run.scores)))].slice(0, 2);
    // a run that cannot be read is named, with what is wrong; it can only be deleted
    const broken = (run) => h("tr", { "data-run": run.id }, h("td"), h("td", { class: "thumb" }, h("span")),
      h("td", {}, h("b", { class: "name" }, shortName(run.id)), h("div", { class: "muted" }, run.problem)),
      h("td", {}, chip("broken")), h("td"), h("td"), scores.map(() => h("td")),
      h("td", { class: "right" }, h("div", { class: "row actions" }, iconButton(`Delete ${shortName(run.id)}`, "trash", () => remove(run)))));
    const row = (run) => {
      if (run.problem) return broken(run);
      const box = h("input", { type: "checkbox", class: "tick", checked: chosen.has(run.id), "aria-label": `Compare ${shortName(run.id)}`, onchange: () => {
        if (box.checked && chosen.size >= MOST) { box.checked = false; return toast(`Up to ${MOST} runs are compared at once.`); }
        chosen[box.checked ? "add" : "delete"](run.id);
        return compare();
      } });
      return h("tr", { "data-run": run.id }, h("td", {}, box),
        h("td", { class: "thumb" }, run.grid ? h("img", { src: address("/api/run/file", { id: run.id, name: `samples/${run.grid}` }), alt: "", loading: "lazy" }) : h("span")),
        h("td", {}, h("a", { class: "name", href: `#/train?run=${encodeURIComponent(run.id)}` }, shortName(run.id)), h("div", { class: "muted" }, `${run.family} on ${run.data}, ${run.size[0]} px`), h("div", { class: "only-small" }, chip(run.status))),
        h("td", {}, chip(run.status)), h("td", { class: "right" }, count(run.images)), h("td", { class: "right" }, duration(run.seconds)),
        scores.map((name) => h("td", { class: "right" }, run.scores[name] === undefined ? "-" : Number(run.scores[name].toPrecision(3)))),
        h("td", { class: "right" }, h("div", { class: "row actions" }, run.has_model && useLink(run),
          iconButton(`Rename ${shortName(run.id)}`, "pen", () => rename(run)), iconButton(`Delete ${shortName(run.id)}`, "trash", () => remove(run)))));
    };
    refill(list, h("div", { class: "scroll" }, h("table", { class: "table runs" }, h("thead", {}, h("tr", {}, h("th"), h("th"), h("th", {}, "Run"), h("th", {}, "State"), h("th", { class: "right" }, "Images"), h("th", { class: "right" }, "Time"), scores.map((s) => h("th", { class: "right" }, s)), h("th"))), h("tbody", {}, runs.map(row)))));
  }

  async function rename(run) {
    const old = run.id.split("/").pop();
    const name = await ask("Rename the run", "The folder is renamed.", { confirm: "Rename", value: old });
    if (!name || name === old) return;
    try {
      const { id } = await post("/api/run/rename", { id: run.id, name });
      if (chosen.delete(run.id)) chosen.add(id);
      await refresh();
      compare();
    } catch (error) { toast(error.message, "bad"); }
  }

  async function remove(run) {
    if (!await ask(`Delete ${shortName(run.id)}?`, "It goes to the studio’s trash, from which it can come back until the trash is emptied.", { confirm: "Delete", danger: true })) return;
    try {
      const gone = await post("/api/run/delete", { id: run.id });
      chosen.delete(run.id);
      await refresh();
      compare();
      drawTrash();
      toast(`${shortName(run.id)} is in the trash.`, "", ["Undo", async () => { await post("/api/trash/restore", { id: gone.trash }); await refresh(); drawTrash(); }]);
    } catch (error) { toast(error.message, "bad"); }
  }

  async function drawTrash() {
    const rows = await get("/api/trash");
    fill(trash, rows.length > 0 && h("details", { class: "card" }, h("summary", {}, "Trash", h("span", { class: "muted small" }, `${rows.length} ${rows.length === 1 ? "run" : "runs"}, ${bytes(rows.reduce((sum, r) => sum + r.bytes, 0))}`)),
      h("ul", { class: "stack tight" }, rows.map((r) => h("li", { class: "row between" }, h("span", {}, shortName(r.run)), button("Restore", async () => { try { await post("/api/trash/restore", { id: r.id }); await refresh(); drawTrash(); } catch (error) { toast(error.message, "bad"); } }, { kind: "slim quiet", symbol: "again" })))),
      button("Empty the trash", async () => { if (await ask("Empty the trash?", "These runs are deleted for good.", { confirm: "Delete for good", danger: true })) { await post("/api/trash/empty"); drawTrash(); } }, { kind: "slim danger", symbol: "trash" })));
  }

  let turn = 0;
  async function compare() {
    const mine = ++turn;
    const shown = runs.filter((run) => chosen.has(run.id) && !run.problem);
    follow = async () => {};
    if (!shown.length) return fill(compared);
    const [details, logs] = await Promise.all([
      Promise.all(shown.map((run) => get("/api/run", { id: run.id }))),
      Promise.all(shown.map((run) => get("/api/run/log", { id: run.id }))),
    ]);
    if (mine !== turn) return undefined;
    const groups = logs.map((log) => curves(log.records));
    const names = [...new Set(groups.flatMap((g) => [...g.losses, ...g.rest, ...g.speed]))];
    if (!names.includes(measure)) measure = names.find((n) => n.includes("[")) || names[0];
    const chart = new Chart("Curves of the chosen runs", { height: 260 });
    const draw = () => chart.set(shown.map((run, i) => ({ name: shortName(run.id), points: logs[i].records.filter((r) => typeof r[measure] === "number").map((r) => [r.images, r[measure]]), colour: i })));
    fill(compared,
      names.length > 0 && h("div", { class: "card stack" }, h("div", { class: "row between wrap" }, h("h2", {}, "Curves"), h("div", { class: "measure" }, select("Measure", names.map((n) => [n, n.replace("_", " ").replace("_", " ")]), measure, (v) => { measure = v; draw(); }))), chart.element),
      h("div", { class: "card stack" }, h("h2", {}, "Samples"), h("div", { class: "side-by-side" }, shown.map((run, i) => h("figure", {}, h("figcaption", { class: "row" }, h("i", { class: "dot", style: { background: colour(i) } }), h("b", { class: "cut" }, shortName(run.id)), h("span", { class: "small muted number" }, count(run.images))),
        run.grid ? h("img", { class: "pixels", "data-run": run.id, src: address("/api/run/file", { id: run.id, name: `samples/${run.grid}` }), alt: `Samples of ${shortName(run.id)}` }) : h("p", { class: "muted small" }, "No samples yet."))))),
      h("div", { class: "card stack" }, h("h2", {}, "What differs"), differences(details)));
    draw();
    // what still trains goes on growing
    follow = async () => {
      for (const [i, run] of shown.entries()) {
        const now = runs.find((other) => other.id === run.id);
        if (!now || now.images === run.images || mine !== turn) continue;
        shown[i] = now;
        logs[i] = await get("/api/run/log", { id: run.id });
        const image = [...compared.querySelectorAll("img[data-run]")].find((other) => other.dataset.run === run.id);
        if (image && now.grid !== run.grid) image.src = address("/api/run/file", { id: run.id, name: `samples/${now.grid}` });
        if (mine === turn) draw();
      }
    };
    return undefined;
  }

  await refresh();
  if (chosen.size) compare();
  drawTrash();
  return poll(4, refresh);
}

function useLink(run) {
  const [use, page, name] = useOf(run);
  return h("a", { class: "button quiet only", href: `#/${page}?model=${name}`, title: use, "aria-label": `${use} with ${shortName(run.id)}` }, icon(page));
}

/** A table of the numbers, and of every setting that is not the same in all. */
function differences(runs) {
  const flat = runs.map((run) => ({ family: run.family, data: run.data, pictures: run.pictures, size: `${run.size[0]} x ${run.size[1]}`, ...run.scores, "images seen": run.images, minutes: Math.round(run.seconds / 6) / 10, ...run.train, ...run.settings, ...Object.fromEntries(["device", "precision", "batch"].map((k) => [k, run.facts[k]])) }));
  const always = ["family", "images seen", "minutes"];
  const skipped = new Set(["out", "resume", "data", "snapshots", "save_minutes", "log_images"]);
  const names = [...new Set(flat.flatMap((f) => Object.keys(f)))].filter((name) => !skipped.has(name) || name === "data");
  const differ = names.filter((name) => always.includes(name) || new Set(flat.map((f) => JSON.stringify(f[name] ?? null))).size > 1);
  const cell = (value) => (value === undefined || value === null ? "-" : typeof value === "number" ? (Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(4)))) : typeof value === "boolean" ? (value ? "yes" : "no") : String(value));
  return h("div", { class: "scroll" }, h("table", { class: "table" }, h("thead", {}, h("tr", {}, h("th"), runs.map((run) => h("th", {}, shortName(run.id))))), h("tbody", {}, differ.map((name) => h("tr", {}, h("td", { class: "muted" }, name.replaceAll("_", " ")), flat.map((f) => h("td", { class: "number" }, cell(f[name]))))))));
}

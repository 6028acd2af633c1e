// Runs: all of them, searched, sorted and grouped; those that are ticked compared beside the list.
import { get, post } from "../api.js";
import { keep } from "../address.js";
import { compareRuns } from "../compare_runs.js";
import { ask, button, empty, fill, h, icon, poll, select, toast, trouble } from "../dom.js";
import { bytes, shortName } from "../format.js";
import { t } from "../i18n.js";
import { arranged, columns, drawTable } from "../runs_list.js";

export const MOST = 6;
const FIRST_SHOWN = 100;

export async function open(main, query) {
  const chosen = new Set((query.get("compare") || "").split(",").filter(Boolean));
  const view = { q: query.get("q") || "", sort: query.get("sort") || "-created", group: query.get("group") || "", status: query.get("status") || "", family: query.get("family") || "", tag: query.get("tag") || "" };
  let ticked = query.has("compare"); // once somebody has chosen, nothing is ticked by itself
  let runs = [];
  let drawn = "";
  let whole = false;
  const list = h("div", { class: "card list" });
  const bulk = h("div", { class: "row wrap bulk", hidden: true, role: "group", "aria-label": t("runs.bulk") });
  const filters = h("div", { class: "row wrap filters", role: "search" });
  const compared = h("section", { class: "stack", "aria-label": t("runs.comparison") });
  const trash = h("div");
  const beside = h("div", { class: "runs-split" }, h("div", { class: "stack" }, filters, bulk, list, trash), compared);
  const comparison = compareRuns(compared, query);
  fill(main, h("header", { class: "head" }, h("div", {}, h("h1", {}, t("runs.title")), h("p", {}, t("runs.about")))), beside);

  const set = (changes) => { Object.assign(view, changes); keep(Object.fromEntries(Object.entries(view).map(([key, value]) => [key, key === "sort" && value === "-created" ? "" : value]))); drawList(); };

  let asked = 0;
  let changing = 0;
  /** Renames or deletes runs. Lists asked for before it is done name runs that are no longer there, and are not shown. */
  async function change(rows, act) {
    changing += 1;
    const still = comparison.forget(rows.map((run) => run.id));
    for (const row of list.querySelectorAll("tr[data-run]")) if (rows.some((run) => run.id === row.dataset.run)) row.querySelector("img")?.removeAttribute("src");
    try { await still; return await act(); } finally { changing -= 1; drawn = ""; }
  }

  async function refresh() {
    if (changing) return;
    const turn = ++asked;
    const found = await get("/api/runs");
    if (turn !== asked || changing) return;
    runs = found;
    const text = JSON.stringify(runs);
    if (text === drawn || (drawn && list.matches(":active"))) return; // not under somebody's finger
    drawn = text;
    for (const id of chosen) if (!runs.some((run) => run.id === id)) chosen.delete(id);
    if (!ticked && runs.some((run) => !run.problem)) { ticked = true; runs.filter((run) => !run.problem).slice(0, 2).forEach((run) => chosen.add(run.id)); compare(); }
    drawFilters();
    drawList();
    await comparison.follow(runs);
  }

  function drawFilters() {
    const options = (key) => [...new Set(runs.filter((run) => !run.problem || key === "status").flatMap((run) => run[key]))].sort();
    const text = JSON.stringify([options("status"), options("family"), options("tags")]);
    if (filters.dataset.text === text) return;
    filters.dataset.text = text;
    const choice = (key, name, values, show = (v) => v) => (values.length > 1 || view[key]) && select(name, [["", name], ...values.map((v) => [v, show(v)])], view[key], (v) => set({ [key]: v }));
    const search = h("input", { class: "input", type: "search", placeholder: t("runs.search"), "aria-label": t("runs.search"), value: view.q, oninput: () => set({ q: search.value }) });
    fill(filters, search, choice("status", t("runs.anyState"), options("status"), (v) => t(`status.${v}`)), choice("family", t("runs.anyFamily"), options("family")), choice("tag", t("runs.anyTag"), options("tags")),
      select(t("runs.group"), [["", t("runs.noGroups")], ...["family", "data", "status", "tag"].map((key) => [key, t(`runs.by.${key}`)])], view.group, (v) => set({ group: v })));
    filters.hidden = runs.length < 2;
  }

  function drawList() {
    if (!runs.length) { fill(list, empty("runs", t("runs.none"), t("runs.noneText"), h("a", { class: "button primary", href: "#/train" }, icon("train"), t("runs.trainOne")))); return; }
    const groups = arranged(runs, view);
    const found = groups.flatMap(([, rows]) => rows);
    drawTable(list, groups, { chosen, view, scores: columns(runs), limit: whole ? Infinity : FIRST_SHOWN, tick, sort: (key) => set({ sort: view.sort === key ? `-${key}` : key }), rename, remove: (run) => remove([run]), tag: (name) => set({ tag: name }),
      all: (on) => { for (const run of found) chosen[on ? "add" : "delete"](run.id); changed(); }, more: () => { whole = true; drawList(); } });
    drawBulk();
  }

  function tick(run, on) {
    chosen[on ? "add" : "delete"](run.id);
    changed();
  }

  function changed() {
    ticked = true;
    const query_ = [...chosen].join(",");
    keep({ compare: query_ || "none" });
    drawBulk();
    compare();
  }

  function compare() {
    if (changing) return; // what is shown after it is asked for then
    const shown = runs.filter((run) => chosen.has(run.id) && !run.problem);
    beside.classList.toggle("beside", shown.length > 0);
    comparison.show(shown.slice(0, MOST), shown.length > MOST ? t("runs.most", { n: MOST, of: shown.length }) : "");
  }

  /** What can be done with all that are ticked. */
  function drawBulk() {
    const picked = runs.filter((run) => chosen.has(run.id));
    bulk.hidden = picked.length < 1;
    const live = picked.filter((run) => ["running", "queued"].includes(run.status) && run.job);
    const resting = picked.filter((run) => ["stopped", "diverged"].includes(run.status));
    fill(bulk, h("b", { class: "small", role: "status" }, t("runs.picked", { n: picked.length })),
      button(t("runs.tag"), () => tagAll(picked), { kind: "slim", symbol: "tag" }),
      live.length > 0 && button(t("runs.stopAll", { n: live.length }), () => each(live, (run) => post("/api/jobs/stop", { job: run.job })), { kind: "slim", symbol: "stop" }),
      resting.length > 0 && button(t("runs.resumeAll", { n: resting.length }), () => each(resting, (run) => post("/api/resume", { run: run.id })), { kind: "slim", symbol: "start" }),
      button(t("runs.delete"), () => remove(picked), { kind: "slim danger", symbol: "trash" }), button(t("runs.untick"), () => { chosen.clear(); changed(); drawList(); }, { kind: "slim quiet" }));
  }

  async function each(rows, act) {
    for (const run of rows) { try { await act(run); } catch (error) { trouble(error); } }
    await refresh();
  }

  async function tagAll(rows) {
    const known = [...new Set(runs.flatMap((run) => run.tags))];
    const name = await ask(t("runs.tagTitle"), known.length ? t("runs.tagKnown", { names: known.join(", ") }) : t("runs.tagText"), { confirm: t("runs.tag"), value: "" });
    if (!name) return;
    const had = rows.every((run) => run.tags.includes(name));
    try { await post("/api/run/tags", { ids: rows.map((run) => run.id), [had ? "remove" : "add"]: [name] }); await refresh(); } catch (error) { trouble(error); }
  }

  async function rename(run) {
    const old = run.id.split("/").pop();
    const name = await ask(t("runs.renameTitle"), t("runs.renameText"), { confirm: t("runs.rename"), value: old });
    if (!name || name === old) return;
    try {
      const { id } = await change([run], () => post("/api/run/rename", { id: run.id, name }));
      if (chosen.delete(run.id)) chosen.add(id);
      await refresh();
      changed();
    } catch (error) { trouble(error); await refresh(); compare(); }
  }

  async function remove(rows) {
    const one = rows.length === 1;
    if (!await ask(one ? t("runs.deleteTitle", { name: shortName(rows[0].id) }) : t("runs.deleteMany", { n: rows.length }), t("runs.deleteText"), { confirm: t("runs.delete"), danger: true })) return;
    const gone = [];
    await change(rows, async () => {
      for (const run of rows) {
        try { gone.push((await post("/api/run/delete", { id: run.id })).trash); chosen.delete(run.id); } catch (error) { trouble(error); }
      }
    });
    await refresh();
    if (!gone.length) { compare(); return; }
    changed();
    drawTrash();
    toast(one ? t("runs.inTrash", { name: shortName(rows[0].id) }) : t("runs.manyInTrash", { n: gone.length }), "", [t("runs.undo"), async () => { for (const id of gone) { try { await post("/api/trash/restore", { id }); } catch (error) { trouble(error); } } await refresh(); drawTrash(); }]);
  }

  async function drawTrash() {
    const rows = await get("/api/trash");
    const restore = (row) => async () => { try { await post("/api/trash/restore", { id: row.id }); await refresh(); await drawTrash(); } catch (error) { trouble(error); } };
    fill(trash, rows.length > 0 && h("details", { class: "card", open: query.get("trash") === "1" }, h("summary", {}, t("runs.trash"), h("span", { class: "muted small" }, t("runs.trashHas", { n: rows.length, size: bytes(rows.reduce((sum, r) => sum + r.bytes, 0)) }))),
      h("ul", { class: "stack tight" }, rows.map((r) => h("li", { class: "row between" }, h("span", { class: "cut" }, shortName(r.run), r.kind === "files" && ` (${t("runs.files")})`), button(t("runs.restore"), restore(r), { kind: "slim quiet", symbol: "again", "aria-label": t("runs.restoreOne", { name: r.run }) })))),
      button(t("runs.empty"), async () => { if (await ask(t("runs.emptyTitle"), t("runs.emptyText"), { confirm: t("runs.forGood"), danger: true })) { await post("/api/trash/empty"); drawTrash(); } }, { kind: "slim danger", symbol: "trash" })));
  }

  await refresh();
  if (query.has("compare") && chosen.size) compare(); // else the first list has done so
  drawTrash().catch(() => {});
  return poll(() => (runs.some((run) => run.status === "running") ? 4 : 8), refresh);
}

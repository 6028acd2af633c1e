// The table of runs: filtered, sorted, grouped.
import { address } from "./api.js";
import { link } from "./address.js";
import { chip, h, icon, iconButton, refill } from "./dom.js";
import { count, duration, pageOf, shortName } from "./format.js";
import { t } from "./i18n.js";

/** The scores that get a column. */
export const columns = (runs) => [...new Set(runs.flatMap((run) => Object.keys(run.scores)))].slice(0, 2);

const KEYS = {
  name: (run) => shortName(run.id).toLowerCase(), created: (run) => run.created, status: (run) => run.status, images: (run) => run.images, time: (run) => run.seconds,
};
const valueOf = (run, key) => (KEYS[key] ? KEYS[key](run) : run.scores[key] ?? Infinity);

/** Runs that fit what is searched for, in order, in groups: [[title, runs], ...] */
export function arranged(runs, { q, sort, group, status, family, tag }) {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  const found = runs.filter((run) => (!status || run.status === status) && (!family || run.family === family) && (!tag || run.tags.includes(tag))
    && words.every((word) => `${run.id} ${run.family} ${run.data} ${run.status} ${run.tags.join(" ")}`.toLowerCase().includes(word)));
  const down = sort.startsWith("-") ? -1 : 1;
  const key = sort.replace(/^-/, "");
  found.sort((a, b) => { const [x, y] = [valueOf(a, key), valueOf(b, key)]; return down * (x < y ? -1 : x > y ? 1 : 0); });
  if (!group) return [["", found]];
  const groups = new Map();
  for (const run of found) {
    const names = group === "tag" ? (run.tags.length ? run.tags : [t("runs.untagged")]) : [group === "status" ? t(`status.${run.status}`) : run[group]];
    for (const name of names) groups.set(name, [...(groups.get(name) || []), run]);
  }
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Draw the table; the focus stays where it was. */
export function drawTable(place, groups, { chosen, view, scores, limit, tick, sort, rename, remove, tag, all, more }) {
  const found = groups.flatMap(([, rows]) => rows);
  let left = limit;
  const head = (key, text, kind = "") => {
    const now = view.sort.replace(/^-/, "") === key;
    const down = view.sort.startsWith("-");
    return h("th", { class: kind, "aria-sort": now ? (down ? "descending" : "ascending") : null }, h("button", { type: "button", class: "sort", onclick: () => sort(key) }, text, now && icon(down ? "down" : "up")));
  };
  const every = found.length > 0 && found.every((run) => chosen.has(run.id));
  const boxAll = h("input", { type: "checkbox", class: "tick", checked: every, indeterminate: !every && found.some((run) => chosen.has(run.id)), "aria-label": t("runs.tickAll"), onchange: () => { all(boxAll.checked); for (const box of place.querySelectorAll("tbody .tick")) box.checked = boxAll.checked; } });
  // a run that cannot be read is named, with what is wrong; it can only be deleted
  const broken = (run) => h("tr", { "data-run": run.id }, h("td", {}, h("input", { type: "checkbox", class: "tick", checked: chosen.has(run.id), "aria-label": t("runs.tick", { name: shortName(run.id) }), onchange: (event) => tick(run, event.target.checked) })), h("td", { class: "thumb" }, h("span")),
    h("td", { class: "what" }, h("b", { class: "name" }, shortName(run.id)), h("div", { class: "muted" }, run.problem), h("div", { class: "only-small" }, chip("broken", t("status.broken")))),
    h("td", { class: "wide" }, chip("broken", t("status.broken"))), h("td", { class: "wide" }), h("td", { class: "wide" }), scores.map(() => h("td", { class: "wide" })),
    h("td", { class: "right" }, h("div", { class: "row actions" }, iconButton(t("runs.deleteOne", { name: shortName(run.id) }), "trash", () => remove(run)))));
  const row = (run) => {
    if (run.problem) return broken(run);
    const name = shortName(run.id);
    const box = h("input", { type: "checkbox", class: "tick", checked: chosen.has(run.id), "aria-label": t("runs.compare", { name }), onchange: () => tick(run, box.checked) });
    return h("tr", { "data-run": run.id }, h("td", {}, box),
      h("td", { class: "thumb" }, run.grid ? h("img", { src: address("/api/run/thumb", { id: run.id, grid: run.grid }), alt: "", loading: "lazy", width: 44, height: 44 }) : h("span")),
      h("td", { class: "what" }, h("a", { class: "name", href: link("train", { run: run.id }) }, name), h("div", { class: "muted" }, t("runs.on", { family: run.family, data: run.data, size: String(run.size[0]) })),
        h("div", { class: "row wrap tags" }, h("span", { class: "only-small" }, chip(run.status, t(`status.${run.status}`))), run.tags.map((text) => h("button", { type: "button", class: "chip plain tag-chip", onclick: () => tag(text), title: t("runs.onlyTag", { name: text }) }, text)))),
      h("td", { class: "wide" }, chip(run.status, t(`status.${run.status}`))), h("td", { class: "right wide" }, run.images ? count(run.images) : "-"), h("td", { class: "right wide" }, run.seconds ? duration(run.seconds) : "-"),
      scores.map((key) => h("td", { class: "right wide" }, run.scores[key] === undefined ? "-" : Number(run.scores[key].toPrecision(3)))),
      h("td", { class: "right" }, h("div", { class: "row actions" }, run.has_model && h("a", { class: "button quiet only", href: link(pageOf(run), { model: run.id }), title: t(`frame.${pageOf(run)}`), "aria-label": t("runs.use", { page: t(`frame.${pageOf(run)}`), name }) }, icon(pageOf(run))),
        h("a", { class: "button quiet only wide-only", href: link("train", { like: run.id }), title: t("watch.like"), "aria-label": t("runs.like", { name }) }, icon("again")),
        iconButton(t("runs.renameOne", { name }), "pen", () => rename(run)), iconButton(t("runs.deleteOne", { name }), "trash", () => remove(run)))));
  };
  const bodies = groups.map(([title, rows]) => {
    const shown = rows.slice(0, Math.max(0, left));
    left -= shown.length;
    return h("tbody", {}, title && h("tr", { class: "group" }, h("th", { colSpan: 7 + scores.length, scope: "rowgroup" }, title, h("span", { class: "muted" }, ` ${rows.length}`))), shown.map(row));
  });
  refill(place, found.length === 0 && h("p", { class: "muted small nothing" }, t("runs.nothing")),
    found.length > 0 && h("table", { class: "table runs" }, h("thead", {}, h("tr", {}, h("th", {}, boxAll), h("th", {}, h("span", { class: "visually-hidden" }, t("samples.title"))), head("name", t("runs.run")), head("status", t("runs.state"), "wide"), head("images", t("runs.images"), "right wide"), head("time", t("runs.time"), "right wide"), scores.map((key) => head(key, key.replace(/^score\//, ""), "right wide")), h("th", {}, h("span", { class: "visually-hidden" }, t("runs.actions"))))), bodies),
    left < 0 || found.length > limit ? h("button", { type: "button", class: "button quiet wide", onclick: more }, t("runs.showAll", { n: found.length })) : null);
}

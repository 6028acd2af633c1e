// What the check of a set has found: its numbers, its wall of pictures, what is wrong with it and what to train with.
import { address, post } from "./api.js";
import { link } from "./address.js";
import { inWords } from "./cures.js";
import { ask, button, chip, fill, h, icon, note, toast, trouble } from "./dom.js";
import { chosen, spoken } from "./format.js";
import { number, t, tOr } from "./i18n.js";

/** Settings as they stand in an address. */
const settings = (set) => Object.entries(set).map(([name, value]) => `${name}:${value}`).join(",");
const KINDS = ["inpaint", "upscale", "colorize"];

/** Show a report. `changed` is called when files were taken out, `again` checks the set once more. */
export function report(place, spec, id, { report: found, wall, tile, columns }, { changed, again }) {
  const sizes = Object.keys(found.sizes);
  const classes = Object.entries(found.classes);
  const stat = (name, value, more) => h("div", {}, h("dt", {}, name), h("dd", {}, value, more && h("small", {}, ` ${more}`)));
  const troubled = [found.broken_count && t("data.broken", { n: found.broken_count }), found.twice_count && t("data.twice", { n: found.twice_count }), found.unread_count && t("data.unread", { n: found.unread_count }), found.ignored_count && t("data.ignored", { n: found.ignored_count })].filter(Boolean);
  const { advice } = found;
  fill(place,
    h("div", { class: "card stack" },
      h("div", { class: "row between wrap" }, h("h2", { class: "cut" }, spec), found.usable && h("a", { class: "button primary", "data-role": "train", href: link("train", { data: spec, family: advice.family }) }, icon("train"), t("data.train"))),
      note(!found.usable ? "bad" : found.broken_count || found.twice_count ? "warn" : "good", found.usable && !found.broken_count ? "check" : "alert", found.verdict),
      h("dl", { class: "stats" }, stat(t("data.stat.pictures"), number(found.pictures)), stat(t("data.stat.size"), sizes[0] || "-", sizes.length > 1 ? t("data.moreSizes", { n: sizes.length - 1 }) : ""),
        stat(t("data.stat.kind"), Object.keys(found.modes).map((m) => tOr(`data.mode.${m}`, m)).slice(0, 2).join(", ")), stat(t("data.stat.classes"), classes.length ? number(classes.length) : t("data.none"))),
      [...found.notes, found.range, found.empty.length > 0 && t("data.emptyClasses", { names: found.empty.slice(0, 8).join(", ") })].filter(Boolean).map((text) => h("p", { class: "small muted" }, text)),
      suggestions(spec, advice, found.usable),
      found.duplicates.length > 0 && h("p", { class: "small muted" }, t("data.twiceText", { some: found.duplicates.slice(0, 3).map((g) => g.slice(0, 3).join(" = ")).join("; ") })),
      found.own && (found.broken_count || found.twice_count) > 0 && h("div", { class: "row wrap" },
        found.broken_count > 0 && button(t("data.takeBroken", { n: found.broken_count }), () => exclude(["broken"]), { symbol: "trash", kind: "slim" }),
        found.twice_count > 0 && button(t("data.takeTwice", { n: found.twice_count }), () => exclude(["duplicates"]), { symbol: "trash", kind: "slim" }))),
    pictureWall(id, wall, tile, columns, troubled),
    classes.length > 0 && classes.length <= 120 && h("div", { class: "card stack" }, h("h2", {}, t("data.stat.classes")), bars(classes)),
    found.broken.length + found.unread.length > 0 && h("div", { class: "card stack" }, h("h2", {}, t("data.leftOut")), h("ul", { class: "stack tight small" }, [...found.broken, ...found.unread].map(({ file, reason }) => h("li", {}, h("b", {}, file), ": ", h("span", { class: "muted" }, reason))))));

  async function exclude(what) {
    if (!await ask(t("data.excludeTitle"), t("data.excludeText"), { confirm: t("data.exclude") })) return;
    try {
      const gone = await post("/api/data/exclude", { id, what });
      toast(t("data.excluded", { n: gone.count }), "", [t("data.undo"), async () => { try { await post("/api/trash/restore", { id: gone.trash }); again(); changed(); } catch (error) { trouble(error); } }]);
      changed();
      again();
    } catch (error) { trouble(error); }
  }
}

/** What "Train on this" fills in, and other things that such pictures are good for. */
function suggestions(spec, advice, usable) {
  if (!advice.family) return null;
  return h("div", { class: "stack tight small muted" },
    usable && h("p", {}, t("data.begins", { family: advice.family }), ...Object.entries(advice.set).map(([name, value]) => [" ", h("span", { class: "chip plain" }, value === true ? spoken(name) : `${spoken(name)} ${chosen(value)}`)])),
    usable && advice.cures.length > 0 && h("div", { class: "row wrap" }, advice.cures.map((cure) => h("a", { class: "button slim", href: link("train", { data: spec, family: advice.family, set: settings(cure.set) }) }, icon("train"), t("data.trainWith", { what: inWords(cure) })))),
    advice.photographs && h("div", { class: "row wrap" }, h("span", {}, t("data.or")), KINDS.map((family) => h("a", { class: "button slim", href: link("train", { data: spec, family }) }, t(`data.use.${family}`)))));
}

function pictureWall(id, wall, tile, columns, troubled) {
  const info = h("p", { class: "small muted wall-info", "aria-live": "polite" }, t("data.point"));
  const image = h("img", { src: address("/api/data/wall", { id }), alt: "", hidden: true });
  const tiles = wall.map((row, i) => {
    const x = (i % columns) * tile;
    const y = Math.floor(i / columns) * tile;
    const name = row.label ? t("data.labelled", { name: row.name, label: row.label }) : row.name;
    const words = row.problem === "duplicate" ? t("data.same", { name: row.about }) : row.problem ? `${t("data.problem.broken")}, ${row.about}` : row.about;
    const tell = () => { info.textContent = `${name}: ${words}`; };
    const canvas = h("canvas", { width: tile, height: tile, tabIndex: 0, role: "img", "aria-label": row.problem ? `${row.name}, ${t(`data.problem.${row.problem}`)}` : row.name, class: row.problem, onpointerenter: tell, onfocus: tell });
    if (row.problem !== "broken") image.addEventListener("load", () => canvas.getContext("2d").drawImage(image, x, y, tile, tile, 0, 0, tile, tile));
    return canvas;
  });
  return h("div", { class: "card stack" },
    h("div", { class: "row between wrap" }, h("h2", {}, t("data.wall")), troubled.length ? h("div", { class: "row wrap" }, troubled.map((text) => chip("warn", text))) : chip("good", t("data.noProblems"))),
    h("div", { class: "wall" }, tiles), image, info);
}

function bars(classes) {
  const most = Math.max(...classes.map((c) => c[1]), 1);
  return h("ul", { class: "class-bars" }, classes.map(([name, n]) => h("li", {}, h("span", { class: "cut", title: name }, name), h("span", { class: "bar" }, h("i", { style: { width: `${(100 * n) / most}%` } })), h("span", { class: "number muted" }, number(n)))));
}

// The little markdown that reports use: headings, lists, tables, pictures, bold, code. Built as elements, never as HTML.
import { h } from "./dom.js";

function inline(text) {
  return text.split(/(\*\*[^*]+\*\*|`[^`]+`)/).map((part) => {
    if (part.startsWith("**")) return h("b", {}, part.slice(2, -2));
    if (part.startsWith("`")) return h("code", {}, part.slice(1, -1));
    return part.replace(/\[([^\]]+)\]\([^)]*\)/g, "$1");
  });
}

/** @param {((name: string) => string) | null} source the address of a picture that the text names; null leaves pictures out. */
export function markdown(text, source) {
  const body = h("div", { class: "prose" });
  let list = null;
  let table = null;
  let code = null;
  for (const line of text.split("\n")) {
    if (line.startsWith("```")) {
      if (code) code = null;
      else body.append(code = h("pre", { class: "console", tabIndex: 0 }));
      continue;
    }
    if (code) { code.append(`${line}\n`); continue; }
    const item = line.match(/^\s*[-*]\s+(.*)/);
    const cells = line.match(/^\|(.*)\|\s*$/);
    const picture = line.match(/^!\[([^\]]*)\]\(([\w./-]+)\)/);
    if (!item) list = null;
    if (!cells) table = null;
    if (picture && !source) continue;
    if (picture) body.append(h("img", { src: source(picture[2]), alt: picture[1], loading: "lazy" }));
    else if (/^#{1,6}\s/.test(line)) body.append(h("h3", {}, inline(line.replace(/^#+\s*/, ""))));
    else if (item) {
      if (!list) body.append(list = h("ul"));
      list.append(h("li", {}, inline(item[1])));
    } else if (cells) {
      if (/^[\s|:-]+$/.test(line)) continue;
      const first = !table;
      if (first) body.append(h("div", { class: "scroll" }, table = h("table", { class: "table" })));
      table.append(h("tr", {}, cells[1].split("|").map((cell) => h(first ? "th" : "td", {}, inline(cell.trim())))));
    } else if (line.trim()) body.append(h("p", {}, inline(line)));
  }
  return body;
}

// The frame: navigation, theme, and the page that the address names.
import { get } from "./api.js";
import { fill, h, icon, poll, toast } from "./dom.js";

const PAGES = [
  ["data", "Data", () => import("./pages/data.js")],
  ["train", "Train", () => import("./pages/train.js")],
  ["play", "Play", () => import("./pages/play.js")],
  ["repair", "Repair", () => import("./pages/repair.js")],
  ["understand", "Understand", () => import("./pages/understand.js")],
  ["runs", "Runs", () => import("./pages/runs.js")],
];
const side = document.querySelector(".side");
const main = document.querySelector("main");
let leave = null;
let shown = 0;

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  return dark ? "dark" : "light";
}

function drawSide(where = "", version = "") {
  const flip = () => {
    const next = theme() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try { localStorage.setItem("gansmith-theme", next); } catch { /* storage may be switched off */ }
    drawSide(where, version);
    window.dispatchEvent(new Event("themechange"));
  };
  const current = location.hash.match(/^#\/(\w+)/)?.[1];
  fill(side,
    h("a", { class: "brand", href: "#/data" }, h("img", { src: "/static/favicon.svg", alt: "" }), h("span", {}, "gansmith", h("small", {}, "studio"))),
    PAGES.map(([name, text]) => h("a", { class: "link", href: `#/${name}`, "data-page": name, "aria-current": name === current && "page" }, icon(name), text)),
    h("div", { class: "foot" },
      h("button", { type: "button", class: "button quiet slim", onclick: flip }, icon(theme() === "dark" ? "sun" : "moon"), theme() === "dark" ? "Light" : "Dark"),
      h("div", { class: "cut", title: where, style: { "max-width": "172px" } }, where.split(/[\\/]/).pop()), version && h("div", {}, `version ${version}`)));
}

async function show() {
  const [, name = "data", query = ""] = location.hash.match(/^#\/(\w+)(?:\?(.*))?$/) || [];
  const page = PAGES.find(([key]) => key === name) || PAGES[0];
  const turn = ++shown;
  leave?.();
  leave = null;
  for (const link of side.querySelectorAll(".link")) {
    if (link.dataset.page === page[0]) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${page[1]} - gansmith studio`;
  try {
    const module = await page[2]();
    if (turn !== shown) return;
    main.replaceChildren();
    main.dataset.page = page[0];
    scrollTo(0, 0);
    const stop = await module.open(main, new URLSearchParams(query));
    if (turn === shown) leave = stop;
    else stop?.();
  } catch (error) { toast(error.message, "bad"); }
}

drawSide();
window.addEventListener("hashchange", show);
// a file dropped beside the place for it must not replace the page
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
window.addEventListener("unhandledrejection", (event) => {
  if (event.reason?.name !== "AbortError") toast(event.reason?.message || "Something went wrong.", "bad");
});
show();
get("/api/about").then((about) => drawSide(about.workspace, about.version));

poll(5, async () => {
  const jobs = await get("/api/jobs");
  const active = jobs.filter((job) => ["queued", "running", "stopping"].includes(job.status)).length;
  const link = side.querySelector('[data-page="train"]');
  link.querySelector(".badge")?.remove();
  if (active) link.append(h("span", { class: "badge", title: `${active} in the queue` }, active));
});

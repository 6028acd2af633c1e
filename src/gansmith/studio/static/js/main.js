// The frame: navigation, theme, language, the page that the address names, and what to say when the server is gone.
import { get } from "./api.js";
import { read } from "./address.js";
import { fill, h, icon, poll, toast } from "./dom.js";
import { look, title } from "./notice.js";
import { again, guide, known, leading } from "./welcome.js";
import { LANGUAGES, chooseLanguage, language, loadWords, t } from "./i18n.js";

const PAGES = [
  ["data", () => import("./pages/data.js")],
  ["train", () => import("./pages/train.js")],
  ["play", () => import("./pages/play.js")],
  ["repair", () => import("./pages/repair.js")],
  ["models", () => import("./pages/models.js")],
  ["understand", () => import("./pages/understand.js")],
  ["runs", () => import("./pages/runs.js")],
  ["welcome", () => import("./pages/welcome.js")],
];
const LISTED = PAGES.slice(0, -1);
const side = document.querySelector(".side");
const main = document.querySelector("main");
const banner = document.querySelector(".banner");
const tools = document.querySelector(".tools");
const about = { workspace: "", version: "" };
let leave = null;
let shown = 0;
let missed = false; // a page could not be opened while the server was gone
let reload = false; // nor could its code be loaded

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  return dark ? "dark" : "light";
}

function flip() {
  const next = theme() === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try { localStorage.setItem("gansmith-theme", next); } catch { /* storage may be switched off */ }
  drawFrame();
  window.dispatchEvent(new Event("themechange"));
}

async function translate() {
  const codes = Object.keys(LANGUAGES);
  await chooseLanguage(codes[(codes.indexOf(language()) + 1) % codes.length]);
  drawFrame();
  await show();
}

/** Theme and language: at the foot of the side, and at the top of a phone's page. */
function switches(slim) {
  const codes = Object.keys(LANGUAGES);
  const next = codes[(codes.indexOf(language()) + 1) % codes.length];
  const dark = theme() === "dark";
  const themed = t(dark ? "frame.light" : "frame.dark");
  return [
    h("button", { type: "button", class: `button quiet ${slim ? "only" : "slim"}`, onclick: again, title: t("welcome.steps"), "aria-label": t("welcome.steps"), "data-role": "welcome" }, icon("compass"), !slim && t("welcome.steps")),
    h("button", { type: "button", class: `button quiet ${slim ? "only" : "slim"}`, onclick: flip, title: themed, "aria-label": themed }, icon(dark ? "sun" : "moon"), !slim && themed),
    h("button", { type: "button", class: `button quiet ${slim ? "only" : "slim"}`, onclick: translate, lang: next === "zh" ? "zh-Hans" : next, title: LANGUAGES[next], "aria-label": LANGUAGES[next], "data-role": "language" }, icon("globe"), !slim && LANGUAGES[next]),
  ];
}

function drawFrame() {
  const [current] = read();
  const skip = document.querySelector(".skip");
  skip.textContent = t("frame.skip");
  side.setAttribute("aria-label", t("frame.pages"));
  tools.setAttribute("aria-label", t("frame.look"));
  fill(side,
    h("a", { class: "brand", href: "#/data" }, h("img", { src: "/static/favicon.svg", alt: "" }), h("span", {}, "gansmith", h("small", {}, "studio"))),
    LISTED.map(([name]) => h("a", { class: "link", href: `#/${name}`, "data-page": name, "aria-current": name === current && "page" }, icon(name), t(`frame.${name}`))),
    h("div", { class: "foot" }, h("div", { class: "switches" }, switches(false)),
      h("div", { class: "cut", title: about.workspace, style: { "max-width": "172px" } }, about.workspace.split(/[\\/]/).pop()), about.version && h("div", {}, t("frame.version", { version: about.version }))));
  fill(tools, switches(true));
}

/** Where nothing is asked for: the first steps in an empty workspace, else the data. */
async function first() {
  try { return (await known()).active ? "welcome" : "data"; } catch { return "data"; }
}

async function show() {
  const [named, query] = read();
  const turn = ++shown;
  const name = named || await first();
  if (turn !== shown) return; // a page was chosen meanwhile
  const page = PAGES.find(([key]) => key === name) || PAGES[0];
  const moved = main.dataset.page && main.dataset.page !== page[0];
  leave?.();
  leave = null;
  for (const link of side.querySelectorAll(".link")) {
    if (link.dataset.page === page[0]) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  title(t("frame.title", { page: t(`frame.${page[0]}`) }));
  guide(page[0]).catch(() => {});
  try {
    const module = await page[1]().catch(unloaded);
    if (turn !== shown) return;
    main.replaceChildren();
    main.dataset.page = page[0];
    scrollTo(0, 0);
    if (moved) main.focus({ preventScroll: true }); // the next Tab is within the page
    const stop = await module.open(main, query);
    if (turn === shown) leave = stop;
    else stop?.();
  } catch (error) {
    missed = true;
    if (!error.gone) toast(error.message, "bad");
  }
}

/** A page's code did not come. Where the server does not answer at all, the banner says it; some browsers then try again only in a page loaded anew. */
async function unloaded(error) {
  try { await get("/api/about"); } catch (other) { if (other.gone) reload = true; throw other; }
  throw error;
}

/** The server does not answer: say so, and try until it does. */
let mending = false;
async function mend() {
  if (mending) return;
  mending = true;
  fill(banner, icon("alert"), h("span", { class: "grow" }, t("frame.goneBanner")));
  banner.hidden = false;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const answer = await fetch("/api/about", { headers: { "Accept-Language": language() } }).catch(() => null);
    if (answer?.status === 401) { location.replace(`/login${location.hash}`); return; }
    if (answer?.ok) break;
  }
  mending = false;
  banner.hidden = true;
  if (reload) { location.reload(); return; }
  window.dispatchEvent(new Event("studioback"));
  if (missed) { missed = false; await show(); }
}

window.addEventListener("studiogone", mend);
window.addEventListener("hashchange", show);
// a file dropped beside the place for it must not replace the page
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
window.addEventListener("unhandledrejection", (event) => {
  if (event.reason?.gone) event.preventDefault(); // the banner says it
  if (event.reason?.name !== "AbortError" && !event.reason?.gone) toast(event.reason?.message || t("frame.wrong"), "bad");
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the page, so it must stay
  main.focus();
  main.scrollIntoView();
});

await loadWords();
drawFrame();
show();
get("/api/about").then((found) => { Object.assign(about, found); drawFrame(); }).catch(() => {});

poll(5, async () => {
  const jobs = await get("/api/jobs");
  const active = jobs.filter((job) => ["queued", "running", "stopping"].includes(job.status)).length;
  const link = side.querySelector('[data-page="train"]');
  link.querySelector(".badge")?.remove();
  if (active) link.append(h("span", { class: "badge", title: t("frame.queued", { n: active }) }, active));
  look(jobs);
  if (leading()) await guide();
}, { always: true });

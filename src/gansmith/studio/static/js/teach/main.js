// A lesson on a page of its own: no server, nothing fetched.
import { fill, h, icon } from "../dom.js";
import { t, useWords } from "../i18n.js";
import { open } from "../pages/understand.js";

const lesson = JSON.parse(document.getElementById("lesson").textContent);
const tools = document.querySelector(".tools");
const main = document.querySelector("main");

const dark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
function drawTools() {
  const name = t(dark() ? "frame.light" : "frame.dark");
  fill(tools, h("button", { type: "button", class: "button quiet slim", onclick: () => { document.documentElement.dataset.theme = dark() ? "light" : "dark"; drawTools(); window.dispatchEvent(new Event("themechange")); } }, icon(dark() ? "sun" : "moon"), name));
}

useWords(lesson.words, lesson.language);
document.title = t("teach.title");
tools.setAttribute("aria-label", t("frame.look"));
drawTools();
main.dataset.page = "understand";
const here = location.hash.match(/^#\/understand\?(.*)$/); // a link to a chapter, or the one that was seen
open(main, new URLSearchParams(here ? here[1] : lesson.asked), lesson.points);

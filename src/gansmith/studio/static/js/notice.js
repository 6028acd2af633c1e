// Telling that a training has ended: in the title, on the page, and by the browser where it may.
import { icon, h, toast } from "./dom.js";
import { shortName } from "./format.js";
import { t } from "./i18n.js";

const ACTIVE = ["queued", "running", "stopping"];
const TOLD = ["done", "failed"];
let before = null;
let page = "";

/** May the browser tell it while another window is looked at? */
export const asking = () => "Notification" in window && Notification.permission === "default";

/** A button that asks for that; none where it was answered already. */
export function bell() {
  if (!asking()) return null;
  const element = h("button", { type: "button", class: "button slim quiet", "data-role": "bell", onclick: async () => { const answer = await Notification.requestPermission(); toast(t(answer === "granted" ? "notice.on" : "notice.off")); element.remove(); } }, icon("bell"), t("notice.ask"));
  return element;
}

/** The page's own title, before what runs. */
export function title(text) {
  page = text;
  document.title = text;
}

/** Look at the queue: how far the running one is stands in the title, and what has ended since the last look is told. */
export function look(jobs) {
  const running = jobs.find((job) => job.status === "running" && job.progress > 0);
  document.title = running ? `${Math.floor(100 * running.progress)} % ${shortName(running.run)} - ${page}` : page;
  for (const job of jobs) {
    if (!before?.has(job.id) || !TOLD.includes(job.status)) continue;
    const text = t(`notice.${job.status}`, { name: shortName(job.run) });
    toast(text, job.status === "failed" ? "bad" : "", [t("notice.show"), () => { location.hash = `#/train?run=${job.run}`; }]);
    if (document.hidden && "Notification" in window && Notification.permission === "granted") {
      const note = new Notification(text, { tag: job.id });
      note.onclick = () => { window.focus(); location.hash = `#/train?run=${job.run}`; };
    }
  }
  before = new Set(jobs.filter((job) => ACTIVE.includes(job.status)).map((job) => job.id));
}

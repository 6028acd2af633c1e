import { language, loadWords, t } from "./i18n.js";

const form = document.querySelector("form");
const problem = document.querySelector(".problem");
const go = form.querySelector("button");

function say(text) {
  problem.textContent = text;
  problem.hidden = false;
}

/** Count the seconds down until the next try. */
function wait(seconds, text) {
  go.disabled = true;
  const end = Date.now() + 1000 * seconds;
  const tick = () => {
    const left = Math.ceil((end - Date.now()) / 1000);
    if (left > 0) { go.textContent = t("login.wait", { seconds: left }); setTimeout(tick, 250); return; }
    go.disabled = false;
    go.textContent = t("login.go");
    form.password.select();
  };
  say(text);
  tick();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.hidden = true;
  const answer = await fetch("/api/login", {
    method: "POST",
    headers: { "X-Gansmith": "studio", "Content-Type": "application/json", "Accept-Language": language() },
    body: JSON.stringify({ password: form.password.value }),
  }).catch(() => null);
  if (answer?.ok) return location.replace(`/${location.hash}`); // the page that was asked for
  const told = answer ? await answer.json().catch(() => ({})) : {};
  if (told.wait) return wait(told.wait, told.error);
  say(told.error || t("frame.gone"));
  return form.password.select();
});

await loadWords();
for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
document.title = t("login.title");

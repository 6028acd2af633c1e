const form = document.querySelector("form");
const problem = document.querySelector(".problem");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.hidden = true;
  const answer = await fetch("/api/login", {
    method: "POST",
    headers: { "X-Gansmith": "studio", "Content-Type": "application/json" },
    body: JSON.stringify({ password: form.password.value }),
  }).catch(() => null);
  if (answer?.ok) return location.replace("/");
  const told = answer ? await answer.json().catch(() => ({})) : {};
  problem.textContent = told.error || "The studio does not answer.";
  problem.hidden = false;
  form.password.select();
});

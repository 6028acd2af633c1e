// Before anything is drawn: the theme chosen last time, so that the page never flashes in the other one.
(() => {
  try {
    const chosen = localStorage.getItem("gansmith-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch { /* storage may be switched off */ }
})();

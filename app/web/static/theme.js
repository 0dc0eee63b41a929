// Light or dark: as the system has it, until somebody says otherwise. Runs before the page is painted.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;

  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      const dark = (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
      const next = dark ? "light" : "dark";
      if (next === (system.matches ? "dark" : "light")) {
        delete root.dataset.theme; // as the system has it: follow it again
        localStorage.removeItem("theme");
      } else {
        root.dataset.theme = next;
        localStorage.setItem("theme", next);
      }
      document.dispatchEvent(new CustomEvent("theme"));
    });
  });
})();

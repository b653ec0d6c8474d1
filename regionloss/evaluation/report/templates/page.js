"use strict";
// Light and dark: as the system is, until the reader chooses.
const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");
let chosen = null;
try { chosen = localStorage.getItem("regionloss-theme"); } catch { /* a page on disk may have no storage */ }

function paint() {
  root.dataset.theme = chosen || (dark.matches ? "dark" : "light");
}
paint();
dark.addEventListener("change", paint);

const byId = (id) => document.getElementById(id);

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);  // strings become text, never markup
  return made;
}

addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
document.addEventListener("DOMContentLoaded", () => {
  byId("theme").addEventListener("click", () => {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("regionloss-theme", chosen); } catch { /* as above */ }
    paint();
  });
  const baseline = byId("baseline");
  const show = () => document.querySelectorAll("[data-baseline]").forEach((table) => {
    table.hidden = table.dataset.baseline !== baseline.value;
  });
  if (baseline) {
    baseline.addEventListener("change", show);
    show();
  }
});

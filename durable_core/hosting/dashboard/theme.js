// Runs before the first paint, so that the page does not flash in the other theme.
"use strict";
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("durable.theme");
  } catch {
    // A browser that stores nothing follows the system.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}

/**
 * Chooses between dark, light and what the system has, and remembers it in this browser.
 */
import {signal} from "./preact.js";

const NAME = "runbus.theme";
const THEMES = /** @type {const} */ (["system", "dark", "light"]);
/** @typedef {typeof THEMES[number]} Theme */

/** @type {import("../vendor/signals-core.js").Signal<Theme>} */
export const theme = signal(remembered());

/** @returns {Theme} */
function remembered() {
  try {
    return THEMES.find((known) => known === localStorage.getItem(NAME)) ?? "system";
  } catch {
    return "system"; // storage is switched off
  }
}

export function nextTheme() {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length];
  try {
    localStorage.setItem(NAME, theme.value);
  } catch {
    return; // it lasts as long as the page
  }
}

/** Let the document have the theme: light-dark() in app.css follows it. */
export function applyTheme() {
  document.documentElement.style.colorScheme = theme.value === "system" ? "light dark" : theme.value;
}

/** Whether the page is dark now. */
export function isDark() {
  return theme.value === "dark" || (theme.value === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
}

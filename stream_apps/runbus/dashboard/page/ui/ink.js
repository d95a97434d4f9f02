/**
 * Gives canvases the colours of the stylesheet: light-dark() is resolved only where a colour is used.
 */
import {computed, signal} from "../lib/preact.js";
import {theme} from "../lib/theme.js";

const system = signal(matchMedia("(prefers-color-scheme: dark)").matches);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => (system.value = event.matches));

/** Whether the page is dark now; what is drawn with its colours is drawn anew when it changes. */
export const dark = computed(() => (theme.value === "system" ? system.value : theme.value === "dark"));

/** @type {Map<string, string>} */
const known = new Map();

/** The colour of a custom property in the theme of now. @param {string} name for example `--c0` */
export function ink(name) {
  const key = `${name} ${dark.peek()}`;
  let found = known.get(key);
  if (!found) {
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    probe.style.colorScheme = dark.peek() ? "dark" : "light";
    document.body.append(probe);
    found = getComputedStyle(probe).color;
    probe.remove();
    known.set(key, found);
  }
  return found;
}

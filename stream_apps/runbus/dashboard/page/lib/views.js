/**
 * Keeps views under names of the reader's own, in this browser: a view is an address.
 */
import {signal} from "./preact.js";

const NAME = "runbus.views";

/** The views: name -> the part of the address behind "?". */
export const views = signal(/** @type {Record<string, string>} */ (remembered()));

/** @returns {Record<string, string>} */
function remembered() {
  try {
    const found = JSON.parse(localStorage.getItem(NAME) ?? "{}");
    return Object.fromEntries(Object.entries(found).filter(([, search]) => typeof search === "string"));
  } catch {
    return {}; // storage is switched off, or has something else
  }
}

/**
 * Keep the address under a name, or forget the name.
 * @param {string} name
 * @param {string | null} search null = forget it
 */
export function keep(name, search) {
  const {[name]: _, ...others} = views.value;
  views.value = search === null ? others : {...others, [name]: search};
  try {
    localStorage.setItem(NAME, JSON.stringify(views.value));
  } catch {
    return; // they last as long as the page
  }
}

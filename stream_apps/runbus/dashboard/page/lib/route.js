/**
 * Keeps the address of the page: everything that is seen follows from it, so a link shows the same again.
 *
 * A page or a committed range is a new entry of the history (`go`, `set`); scrubbing replaces the entry. Parameters
 * that nobody here knows are kept.
 */
import {signal} from "./preact.js";

/** @typedef {{path: string, params: URLSearchParams}} Route */
/**
 * null, undefined, "" or [] takes a parameter away; a list is the parameter again and again.
 * @typedef {Record<string, string | number | string[] | null | undefined>} Changes
 */

/** @returns {Route} */
function read() {
  return {path: location.pathname, params: new URLSearchParams(location.search)};
}

/** The address now. */
export const route = signal(read());

/**
 * Return the address of a page.
 * @param {string} path
 * @param {Changes} [params]
 */
export function href(path, params = {}) {
  const text = changed(new URLSearchParams(), params).toString();
  return text ? `${path}?${text}` : path;
}

/**
 * Open a page.
 * @param {string} path
 * @param {Changes} [params]
 */
export function go(path, params = {}) {
  move(href(path, params), false);
  scrollTo(0, 0);
}

/**
 * Change parameters of this page.
 * @param {Changes} changes
 * @param {{replace?: boolean}} [how]
 */
export function set(changes, {replace = false} = {}) {
  const params = changed(new URLSearchParams(location.search), changes);
  const text = params.toString();
  move(text ? `${location.pathname}?${text}` : location.pathname, replace);
}

/**
 * Return parameters with changes.
 * @param {URLSearchParams} params
 * @param {Changes} changes
 */
export function changed(params, changes) {
  const found = new URLSearchParams(params);
  for (const [name, value] of Object.entries(changes)) {
    found.delete(name);
    if (Array.isArray(value)) for (const one of value) found.append(name, one);
    else if (value !== null && value !== undefined && value !== "") found.append(name, String(value));
  }
  return found;
}

/**
 * @param {string} address
 * @param {boolean} replace
 */
function move(address, replace) {
  if (address === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  route.value = read();
}

/** Follow the browser's own buttons, and links of this origin. Called once. */
export function listen() {
  addEventListener("popstate", () => {
    route.value = read();
  });
  addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
    if (!link || !plain || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.pathname.startsWith("/api/")) return;
    event.preventDefault();
    if (link.pathname === location.pathname) move(link.pathname + link.search, false);
    else {
      move(link.pathname + link.search, false);
      scrollTo(0, 0);
    }
  });
}

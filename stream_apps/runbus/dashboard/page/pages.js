/**
 * Lists the pages: address, title, and the module that draws it, loaded when it is opened.
 */

import {stylesheet} from "./lib/stylesheet.js";

/** @typedef {{path: string, title: string, nav: boolean, load: () => Promise<{default: () => any}>}} Page */

/**
 * A page with rules of its own: it is drawn once they are there.
 * @template T
 * @param {string} sheet
 * @param {Promise<T>} module
 * @returns {Promise<T>}
 */
const styled = async (sheet, module) => {
  await stylesheet(sheet);
  return module;
};

/** @type {Page[]} */
export const PAGES = [
  {path: "/episode", title: "Episode", nav: false, load: () => styled("episode.css", import("./pages/episode.js"))},
  {path: "/world", title: "World", nav: false, load: () => styled("episode.css", import("./pages/world.js"))},
  {path: "/", title: "Runs", nav: true, load: () => import("./pages/runs.js")},
  {path: "/run", title: "Run", nav: false, load: () => styled("run.css", import("./pages/run.js"))},
  {path: "/compare", title: "Compare", nav: true, load: () => styled("run.css", import("./pages/compare.js"))},
  {path: "/groups", title: "Groups", nav: false, load: () => styled("run.css", import("./pages/groups.js"))},
  {path: "/health", title: "Health", nav: true, load: () => styled("health.css", import("./pages/health.js"))},
];

/**
 * Return the page of an address, or undefined.
 * @param {string} path
 */
export function pageOf(path) {
  return PAGES.find((page) => page.path === path);
}

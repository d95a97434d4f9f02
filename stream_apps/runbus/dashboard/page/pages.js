/**
 * Lists the pages: address, title, and the module that draws it, loaded when it is opened.
 */

/** @typedef {{path: string, title: string, nav: boolean, load: () => Promise<{default: () => any}>}} Page */

/** @type {Page[]} */
export const PAGES = [
  {path: "/episode", title: "Episode", nav: false, load: () => import("./pages/episode.js")},
  {path: "/world", title: "World", nav: false, load: () => import("./pages/world.js")},
  {path: "/", title: "Runs", nav: true, load: () => import("./pages/runs.js")},
  {path: "/run", title: "Run", nav: false, load: () => import("./pages/run.js")},
];

/**
 * Return the page of an address, or undefined.
 * @param {string} path
 */
export function pageOf(path) {
  return PAGES.find((page) => page.path === path);
}

/**
 * Loads the stylesheet of a page that has one of its own, once.
 */

/** @type {Map<string, Promise<unknown>>} */
const loaded = new Map();

/**
 * Return a promise that is kept when the rules are there.
 * @param {string} name below the page's folder
 */
export function stylesheet(name) {
  let found = loaded.get(name);
  if (!found) {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = new URL(`../${name}`, import.meta.url).href;
    found = new Promise((kept, broken) => {
      link.addEventListener("load", kept);
      link.addEventListener("error", () => {
        loaded.delete(name);
        link.remove();
        broken(new Error(name));
      });
    });
    loaded.set(name, found);
    document.head.append(link);
  }
  return found;
}

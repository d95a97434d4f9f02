// Where the page's files are, and what they import: for the tests that read them as text.
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, normalize, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

export const PAGE = normalize(fileURLToPath(new URL("../../stream_apps/runbus/dashboard/page/", import.meta.url)));

/**
 * The page's own files (not the vendored ones) with one of the endings, as paths below the page's folder.
 * @param {...string} endings
 * @returns {string[]}
 */
export function own(...endings) {
  return readdirSync(PAGE, { recursive: true })
    .map((name) => String(name).split(sep).join("/"))
    .filter((name) => !name.startsWith("vendor/") && endings.some((ending) => name.endsWith(ending)))
    .sort();
}

/**
 * @param {string} name a path below the page's folder
 * @returns {string} the file's text
 */
export const text = (name) => readFileSync(join(PAGE, name), "utf8");

/**
 * The file as the server sends it: dashboard/static.py takes comments of our own modules out.
 * @param {string} name
 * @returns {string}
 */
export function sent(name) {
  const whole = text(name);
  if (!name.endsWith(".js") || name.startsWith("vendor/")) return whole;
  return whole.replace(/\/\*\*[\s\S]*?\*\/|^[ \t]*\/\/.*$/gm, (comment) => comment.replace(/[^\n]/g, ""));
}

/**
 * What a module cannot start without: itself and all that it imports by a static import, at any distance.
 * @param {string} entry
 * @param {Set<string>} [seen]
 * @returns {Set<string>}
 */
export function needs(entry, seen = new Set()) {
  if (seen.has(entry)) return seen;
  seen.add(entry);
  for (const [, name] of text(entry).matchAll(/^\s*(?:import|export)\b[^;"']*["'](\.[^"']+)["']/gm)) {
    needs(relative(PAGE, join(PAGE, dirname(entry), name)).split(sep).join("/"), seen);
  }
  return seen;
}

/**
 * Puts notes, tags and pins on runs and on what is in them, and removes them again.
 */
import {signal} from "./preact.js";
import {change} from "./api.js";

/** @typedef {{run: string, agent?: string, attempt?: number, env?: number, episode?: number, step?: number}} Place */
/** @typedef {{kind: "note" | "tag" | "pin", name?: string, text?: string}} What */

const AUTHOR = "runbus.author";

/** Under which name this browser says something; "" = nobody said one yet. */
export const author = signal(localStorage.getItem(AUTHOR) ?? "");

/** @param {string} name */
export function signAs(name) {
  author.value = name.trim().slice(0, 100);
  localStorage.setItem(AUTHOR, author.value);
}

/** @param {Place} place @param {What} what @returns {Promise<{kind: string, name: string, sent_at: number}>} what the log has */
export function put(place, what) {
  return change("/annotations", {body: {...place, ...what, author: author.value}});
}

/** @param {Place} place @param {What} what */
export function take({run, ...place}, {kind, name}) {
  return change("/annotations", {params: {run, ...place, kind, name, author: author.value}});
}

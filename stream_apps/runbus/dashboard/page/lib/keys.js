/**
 * Lists every key of the page, once: the help, the listener and the tests read this table.
 *
 * A page says what its keys do with `useKeys`. Keys are off in fields that take text.
 */
import {useLayoutEffect} from "./preact.js";

/**
 * @typedef {{key: string, name: string, does: string, where: string}} Key
 * `key`: as KeyboardEvent.key has it, with `Shift+`, `Alt+`, `Ctrl+` in front, or two keys with a space between.
 */

/** @type {Key[]} */
export const KEYS = [
  {key: "?", name: "help", does: "show these keys", where: "everywhere"},
  {key: "/", name: "filter", does: "go to the filter", where: "lists"},
  {key: "Ctrl+k", name: "find", does: "go to a run by its name", where: "everywhere"},
  {key: "g r", name: "go-runs", does: "open Runs", where: "everywhere"},
  {key: "g c", name: "go-compare", does: "open Compare", where: "everywhere"},
  {key: "g h", name: "go-health", does: "open Health", where: "everywhere"},
  {key: "j", name: "down", does: "next row", where: "lists"},
  {key: "k", name: "up", does: "row before", where: "lists"},
  {key: "Enter", name: "open", does: "open the row", where: "lists"},
  {key: "x", name: "select", does: "select the row", where: "lists"},
  {key: "c", name: "compare", does: "compare what is selected", where: "Runs"},
  {key: "p", name: "pin", does: "pin the row, or unpin it", where: "Runs"},
  {key: "b", name: "baseline", does: "compare all with the row", where: "Runs"},
  {key: ".", name: "follow", does: "follow what happens now", where: "Run, Episode"},
  {key: " ", name: "play", does: "play, pause", where: "Episode"},
  {key: "ArrowRight", name: "step", does: "next step", where: "Episode"},
  {key: "ArrowLeft", name: "back", does: "step before", where: "Episode"},
  {key: "Shift+ArrowRight", name: "step-10", does: "ten steps on", where: "Episode"},
  {key: "Shift+ArrowLeft", name: "back-10", does: "ten steps back", where: "Episode"},
  {key: "Alt+ArrowRight", name: "next-episode", does: "next episode", where: "Episode"},
  {key: "Alt+ArrowLeft", name: "last-episode", does: "episode before", where: "Episode"},
  {key: "Home", name: "first", does: "first step", where: "Episode"},
  {key: "End", name: "end", does: "last step", where: "Episode"},
  {key: "+", name: "faster", does: "twice as fast", where: "Episode"},
  {key: "-", name: "slower", does: "half as fast", where: "Episode"},
  {key: "n", name: "next-reward", does: "next reward", where: "Episode"},
  {key: "Shift+N", name: "last-reward", does: "reward before", where: "Episode"},
  {key: "m", name: "largest", does: "largest reward", where: "Episode"},
  {key: "e", name: "next-error", does: "next error", where: "Episode"},
  {key: "a", name: "next-action", does: "next change of the action", where: "Episode"},
  {key: "r", name: "raw", does: "raw values, and back", where: "Episode"},
  {key: "t", name: "table", does: "the chart as a table, and back", where: "charts"},
  {key: "q", name: "sql", does: "the SQL of the panel", where: "charts"},
  {key: "u", name: "undo-zoom", does: "undo the zoom", where: "charts"},
  {key: "s", name: "link", does: "copy the link to this view", where: "everywhere"},
  {key: "d", name: "theme", does: "dark, light, as the system", where: "everywhere"},
  {key: "Escape", name: "close", does: "close, or leave the field", where: "everywhere"},
];

/** @typedef {Record<string, (event: KeyboardEvent) => void>} Actions what each key does, by its name */

/** @type {Actions[]} the newest first */
const listeners = [];
let before = "";

/**
 * Return the name of the key that was pressed, or "".
 * @param {Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">} event
 * @param {string} lead the key pressed just before
 */
export function nameOf(event, lead = "") {
  const ctrl = event.ctrlKey || event.metaKey ? "Ctrl+" : "";
  const alt = event.altKey ? "Alt+" : "";
  const shift = event.shiftKey && event.key.length !== 1 ? "Shift+" : "";
  const letter = event.shiftKey && /^[A-Z]$/.test(event.key) ? "Shift+" : "";
  const plain = `${ctrl}${alt}${shift}${letter}${event.key}`;
  const both = KEYS.find((known) => known.key === `${lead} ${plain}`);
  return (both ?? KEYS.find((known) => known.key === plain))?.name ?? "";
}

/** @param {KeyboardEvent} event */
function pressed(event) {
  const target = event.target instanceof HTMLElement ? event.target : null;
  const writes = target?.matches("input:not([type=range]):not([type=checkbox]), textarea, select, [contenteditable]");
  if (event.isComposing) return;
  if (writes && event.key !== "Escape" && !event.ctrlKey && !event.metaKey) return;
  const name = nameOf(event, before);
  before = event.key;
  if (!name) return;
  if (target?.matches("button, a, summary") && (event.key === "Enter" || event.key === " ")) return;
  const found = listeners.find((actions) => name in actions);
  if (!found) return;
  event.preventDefault();
  before = "";
  found[name](event);
}

/** Begin to listen. Called once. */
export function listenToKeys() {
  addEventListener("keydown", pressed);
}

/**
 * Say what keys do while a component is there; the newest component wins.
 * @param {Actions} actions
 */
export function useKeys(actions) {
  useLayoutEffect(() => { // with the drawing, not after it: a key that follows what is seen meets what is seen
    listeners.unshift(actions);
    return () => void listeners.splice(listeners.indexOf(actions), 1);
  });
}

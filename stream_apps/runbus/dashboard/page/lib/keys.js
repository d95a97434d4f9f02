/**
 * Lists every key of the page and hears them; what each does is in words in ui/help.js.
 *
 * A page says what its keys do with `useKeys`. Keys are off in fields that take text.
 */
import {useLayoutEffect} from "./preact.js";

/** What a key is called: as KeyboardEvent.key has it, with `Shift+`, `Alt+`, `Ctrl+` in front, or two with a space between. */
export const KEYS = new Map(Object.entries({
  "?": "help", "/": "filter", "Ctrl+k": "find", "g r": "go-runs", "g c": "go-compare", "g h": "go-health", j: "down",
  k: "up", Enter: "open", x: "select", c: "compare", p: "pin", b: "baseline", ".": "follow", " ": "play",
  ArrowRight: "step", ArrowLeft: "back", "Shift+ArrowRight": "step-10", "Shift+ArrowLeft": "back-10",
  "Alt+ArrowRight": "next-episode", "Alt+ArrowLeft": "last-episode", Home: "first", End: "end", "+": "faster",
  "-": "slower", n: "next-reward", "Shift+N": "last-reward", m: "largest", e: "next-error", a: "next-action",
  r: "raw", t: "table", q: "sql", u: "undo-zoom", s: "link", d: "theme", Escape: "close",
}));

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
  return KEYS.get(`${lead} ${plain}`) ?? KEYS.get(plain) ?? "";
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

/**
 * Draws the state of a run or a stream: a dot and a word.
 */
import {html} from "../lib/preact.js";

/** @type {Record<string, string>} */
const WORDS = {lost: "lost contact"};
/** @type {Record<string, string>} */
const MEANS = {
  running: "its recorder says that it lives, and steps come",
  stalled: "its recorder says that it lives, but no step came for 10 s",
  lost: "its recorder fell silent and never said the end",
  completed: "it said its end",
  failed: "it ended by an error",
  interrupted: "it was stopped before its end",
};

/** @param {{state: string}} props */
export function State({state}) {
  return html`<span class=${`state ${state}`} title=${MEANS[state] ?? ""}><span class="dot" aria-hidden="true"></span>${WORDS[state] ?? state}</span>`;
}

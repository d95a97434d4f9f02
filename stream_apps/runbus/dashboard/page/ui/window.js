/**
 * Draws what moves a window over a long list: a native range as its thumb, and buttons for a finger.
 */
import {html} from "../lib/preact.js";
import {exact} from "../lib/format.js";
import {clamp} from "../lib/window.js";

/**
 * @typedef {{top: number, size: number, count: number}} Window `top`: index of its first row
 */

/** The thumb stands beside the list, as high as it. @param {Window & {onMove: (top: number) => void}} props */
export function Thumb({top, size, count, onMove}) {
  if (count <= size) return null;
  return html`<input class="thumb" type="range" aria-label="Scroll through all rows" min="0" max=${count - size} value=${top}
    onInput=${(/** @type {any} */ event) => onMove(clamp(Number(event.currentTarget.value), size, count))} />`;
}

/** Says which rows are seen, with a way to those before and after. @param {Window & {onMove: (top: number) => void}} props */
export function Pager({top, size, count, onMove}) {
  if (count <= size) return null;
  const move = (/** @type {number} */ to) => () => onMove(clamp(to, size, count));
  return html`<p class="pager">
    <button type="button" onClick=${move(top - size)} disabled=${top === 0}>Before</button>
    <span>${exact(top + 1)}–${exact(Math.min(count, top + size))} of ${exact(count)} rows</span>
    <button type="button" onClick=${move(top + size)} disabled=${top + size >= count}>After</button></p>`;
}

/**
 * Draws a few numbers as a line of the height of a word.
 */
import {html} from "../lib/preact.js";

/** @param {{values?: (number | null)[], label: string}} props */
export function Spark({values = [], label}) {
  const path = line(values);
  if (!path) return html`<span class="muted">–</span>`;
  return html`<svg class="spark" viewBox="0 0 96 22" preserveAspectRatio="none" role="img" aria-label=${label}><path d=${path} /></svg>`;
}

/**
 * Return the path of a line through values, 96 wide and 22 high; a value that is no number is a gap.
 * @param {(number | null)[]} values
 */
export function line(values) {
  const known = values.filter((value) => value !== null);
  if (known.length < 2) return "";
  const low = Math.min(...known);
  const half = Math.max(...known) / 2 - low / 2 || 1; // of the span, which the largest numbers would overflow
  let pen = "M";
  const parts = [];
  for (const [index, value] of values.entries()) {
    if (value === null) {
      pen = "M";
      continue;
    }
    parts.push(`${pen}${((96 * index) / (values.length - 1)).toFixed(1)} ${(21 - 18 * ((value / 2 - low / 2) / half)).toFixed(1)}`);
    pen = "L";
  }
  return parts.join("");
}

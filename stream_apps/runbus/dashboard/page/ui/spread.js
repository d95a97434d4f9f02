/**
 * Draws values on one line: a dot each, with a mark for what they are together and a whisker for its interval.
 */
import {html} from "../lib/preact.js";

const WIDE = 300, EDGE = 6;

/**
 * Return a place on the line, from EDGE to WIDE - EDGE.
 * @param {number} value
 * @param {[number, number]} scale
 */
export const place = (value, [from, to]) => EDGE + ((WIDE - 2 * EDGE) * (value - from)) / (to - from || 1);

/**
 * @param {{values: number[], scale: [number, number], label: string, colour?: string, at?: number | null, low?: number | null,
 *   high?: number | null, half?: number}} props
 * `at`, `low`, `high`: what the values are together; `half`: where a dotted line stands
 */
export function Spread({values, scale, label, colour = "--accent", at = null, low = null, high = null, half}) {
  const ink = `var(${colour})`, x = (/** @type {number} */ value) => place(value, scale).toFixed(1);
  return html`<svg class="spread" viewBox=${`0 0 ${WIDE} 26`} role="img" aria-label=${label}>
    <line class="base" x1=${EDGE} x2=${WIDE - EDGE} y1="13" y2="13" />
    ${half === undefined ? null : html`<line class="half" x1=${x(half)} x2=${x(half)} y1="2" y2="24" />`}
    ${values.map((value, i) => html`<circle key=${i} class="dot" cx=${x(value)} cy="13" r="4" fill=${ink} />`)}
    ${low !== null && high !== null ? html`<line class="whisker" x1=${x(low)} x2=${x(high)} y1="13" y2="13" stroke=${ink} />` : null}
    ${at === null ? null : html`<rect x=${(place(at, scale) - 1.5).toFixed(1)} y="3" width="3" height="20" fill=${ink} />`}
  </svg>`;
}

/**
 * Return the ends of all values, a little wider if they are one.
 * @param {(number | null)[]} values
 * @returns {[number, number]}
 */
export function ends(values) {
  const known = /** @type {number[]} */ (values.filter((value) => value !== null && Number.isFinite(value)));
  if (!known.length) return [0, 1];
  const low = known.reduce((a, b) => Math.min(a, b)), high = known.reduce((a, b) => Math.max(a, b));
  return low < high ? [low, high] : [low - 1, high + 1];
}

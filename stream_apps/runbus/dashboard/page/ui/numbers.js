/**
 * Shows what a chart draws as a table: for screen readers, and for people who want the numbers.
 */
import {html, useSignal} from "../lib/preact.js";
import {number} from "../lib/format.js";
import {place} from "../lib/stats.js";

const PAGE = 25;
const MOST = 8;

/**
 * @param {{drawn: import("../vendor/signals-core.js").Signal<import("./chart.js").Drawn>,
 *   axis: import("../lib/axis.js").Axis, label: string}} props
 */
export function Numbers({drawn, axis, label}) {
  const page = useSignal(0);
  const {series, xs, columns, at} = drawn.value, [from, to] = axis.shown.value;
  const first = place(xs, from), past = xs[place(xs, to)] === to ? place(xs, to) + 1 : place(xs, to);
  const pages = Math.max(1, Math.ceil((past - first) / PAGE)), shown = Math.min(page.value, pages - 1);
  const rows = [];
  for (let i = past - 1 - shown * PAGE; i >= Math.max(first, past - (shown + 1) * PAGE); i -= 1) rows.push(i);
  const names = series.slice(0, MOST);
  return html`<div class="numbers scroll-x" tabindex="0" role="region" aria-label=${label}>
    <table aria-label=${`${label} as a table`}>
      <thead><tr><th scope="col">${axis.label}</th>${names.map((one) => html`<th scope="col" class="num">${one.label}</th>`)}</tr></thead>
      <tbody>${rows.map((i) => html`<tr key=${i}><th scope="row">${axis.text(xs[i])}</th>
        ${names.map((_, s) => html`<td class="num">${cell(columns, at[s], i)}</td>`)}</tr>`)}</tbody>
    </table>
    <p class="pager"><button type="button" disabled=${shown === 0} onClick=${() => (page.value = shown - 1)}>Newer</button>
      <span>${shown + 1} of ${pages}${series.length > MOST ? `; ${series.length - MOST} series are left out, CSV has all` : ""}</span>
      <button type="button" disabled=${shown === pages - 1} onClick=${() => (page.value = shown + 1)}>Older</button></p>
  </div>`;
}

/**
 * @param {(number | null | undefined)[][]} columns
 * @param {import("./chart.js").Drawn["at"][number]} at
 * @param {number} i
 */
function cell(columns, at, i) {
  const y = columns[at.y][i];
  if (y === undefined) return "";
  if (y === null) return "not finite";
  const {min, max} = at;
  const band = min !== undefined && max !== undefined && columns[min][i] !== columns[max][i];
  return html`${number(y)}${band && html` <span class="muted">${number(columns[min][i])} to ${number(columns[max][i])}</span>`}`;
}

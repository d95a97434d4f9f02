/**
 * Draws a long table: only the rows in sight are in the document, a native range is the thumb, and what is behind the
 * loaded rows is asked for when it comes into sight. A tall spacer would end at about 67,000 rows.
 */
import {html, useEffect, useRef, useSignal} from "../lib/preact.js";
import {exact} from "../lib/format.js";
import {useKeys} from "../lib/keys.js";

const VIEW = 20;
const WHEEL_PX = 24;

/**
 * @template Row
 * @typedef {object} Column
 * @property {string} name
 * @property {(row: Row) => any} cell
 * @property {boolean} [num] to the right
 * @property {string} [sort] what sorting by it is called
 * @property {boolean} [wide] left out where the screen is narrow
 */

/**
 * @template Row
 * @param {{label: string, columns: Column<Row>[], rows: Row[], keyOf: (row: Row) => string, sort?: string,
 *   descending?: boolean, onSort?: (sort: string, descending: boolean) => void, onOpen?: (row: Row) => void,
 *   more?: () => void, ended?: boolean, view?: number}} props
 * `rows`: loaded so far; `more` asks for what is behind them, unless `ended`
 */
export function Table({label, columns, rows, keyOf, sort, descending, onSort, onOpen, more, ended = true, view = VIEW}) {
  const top = useSignal(0), at = useSignal(0), before = useRef(/** @type {string[]} */ ([]));
  const last = Math.max(0, rows.length - view);
  const scroll = (/** @type {number} */ to) => (top.value = Math.max(0, Math.min(last, to)));
  const move = (/** @type {number} */ by) => {
    at.value = Math.max(0, Math.min(rows.length - 1, at.value + by));
    if (at.value < top.value) scroll(at.value);
    else if (at.value >= top.value + view) scroll(at.value - view + 1);
  };
  useKeys({down: () => move(1), up: () => move(-1), open: () => rows[at.value] && onOpen?.(rows[at.value])});
  useEffect(() => {
    // Rows came in front: who has scrolled away from the top keeps what is seen.
    const came = before.current.length ? rows.findIndex((row) => keyOf(row) === before.current[0]) : 0;
    if (came > 0 && top.value > 0) {
      top.value += came;
      at.value += came;
    }
    before.current = rows.slice(0, 1).map(keyOf);
    if (!ended && top.value + 2 * view >= rows.length) more?.();
  }, [rows, top.value, ended]);
  const first = Math.min(top.value, last), shown = rows.slice(first, first + view);
  return html`<div class="long" onWheel=${(/** @type {WheelEvent} */ event) => {
    const to = first + Math.sign(event.deltaY) * Math.max(1, Math.round(Math.abs(event.deltaY) / WHEEL_PX));
    if (event.ctrlKey || Math.max(0, Math.min(last, to)) === first) return;
    event.preventDefault();
    scroll(to);
  }}>
    <div class="scroll-x grow">
      <table class="cards" aria-label=${label} aria-rowcount=${ended ? rows.length + 1 : -1}>
        <thead><tr aria-rowindex="1">${columns.map((column) => html`<${Head} column=${column} sort=${sort} descending=${descending} onSort=${onSort} />`)}</tr></thead>
        <tbody>${shown.map((row, i) => html`<tr key=${keyOf(row)} aria-rowindex=${first + i + 2} class=${first + i === at.value ? "cursor" : ""}
          onClick=${(/** @type {MouseEvent} */ event) => {
            at.value = first + i;
            if (!(event.target instanceof Element && event.target.closest("a, button"))) onOpen?.(row);
          }}>
          ${columns.map((column, c) => html`<td class=${`${column.num ? "num" : ""} ${c === 0 ? "name" : ""} ${column.wide ? "wide-only" : ""}`} data-name=${column.name}>${column.cell(row)}</td>`)}</tr>`)}</tbody>
      </table>
    </div>
    ${rows.length > view ? html`<input class="thumb" type="range" min="0" max=${last} value=${first} aria-label=${`Scroll ${label}`}
      aria-valuetext=${`rows ${first + 1} to ${first + shown.length} of ${ended ? "" : "more than "}${rows.length}`}
      onInput=${(/** @type {any} */ event) => scroll(Number(event.currentTarget.value))} />` : null}
  </div>
  <p class="muted place">${rows.length ? `${exact(first + 1)} to ${exact(first + shown.length)} of ${exact(rows.length)}${ended ? "" : " loaded, more below"}` : ""}</p>`;
}

/** @param {{column: Column<any>, sort?: string, descending?: boolean, onSort?: (sort: string, descending: boolean) => void}} props */
function Head({column, sort, descending, onSort}) {
  const css = `${column.num ? "num" : ""} ${column.wide ? "wide-only" : ""}`;
  if (!column.sort || !onSort) return html`<th scope="col" class=${css}>${column.name}</th>`;
  const mine = column.sort === sort, how = mine ? (descending ? "descending" : "ascending") : "none";
  return html`<th scope="col" class=${css} aria-sort=${how}>
    <button type="button" class="head" onClick=${() => onSort(/** @type {string} */ (column.sort), mine ? !descending : true)}>
      ${column.name}<span aria-hidden="true">${mine ? (descending ? " ↓" : " ↑") : ""}</span></button></th>`;
}

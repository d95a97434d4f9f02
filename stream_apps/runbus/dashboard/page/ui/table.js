/**
 * Draws a long table in a panel: only the rows in sight are in the document, and what is behind the loaded rows is asked
 * for when it comes into sight.
 */
import {html, useEffect, useRef, useSignal} from "../lib/preact.js";
import {useKeys} from "../lib/keys.js";
import {clamp, showing, turned} from "../lib/window.js";
import {Pager, Thumb} from "./window.js";

const VIEW = 20;
const ROW_PX = 34;

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
  const top = useSignal(0), at = useSignal(0), turn = useRef({left: 0}), before = useRef(/** @type {string[]} */ ([]));
  const first = clamp(top.value, view, rows.length), shown = rows.slice(first, first + view);
  const slide = (/** @type {number} */ to) => (top.value = to);
  const move = (/** @type {number} */ by) => {
    at.value = clamp(at.value + by, 1, rows.length);
    slide(showing(first, at.value, view, rows.length));
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
  const wheel = (/** @type {WheelEvent} */ event) => {
    const to = clamp(first + turned(turn.current, event.deltaY, ROW_PX), view, rows.length);
    if (event.ctrlKey || rows.length <= view || (to === first && Math.abs(event.deltaY) >= ROW_PX)) return;
    event.preventDefault();
    slide(to);
  };
  return html`<div class="list" onWheel=${wheel}>
    <div class="scroll-x" tabindex="0" role="region" aria-label=${label}>
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
    <${Thumb} top=${first} size=${view} count=${rows.length} onMove=${slide} />
  </div>
  <${Pager} top=${first} size=${view} count=${rows.length} onMove=${slide} />
  ${ended ? null : html`<p class="muted">More behind these.</p>`}`;
}

/** @param {{column: Column<any>, sort?: string, descending?: boolean, onSort?: (sort: string, descending: boolean) => void}} props */
function Head({column, sort, descending, onSort}) {
  const css = `${column.num ? "num" : ""} ${column.wide ? "wide-only" : ""}`;
  if (!column.sort || !onSort) return html`<th scope="col" class=${css}>${column.name}</th>`;
  const mine = column.sort === sort, how = mine ? (descending ? "descending" : "ascending") : "none";
  return html`<th scope="col" class=${css} aria-sort=${how}>
    <button type="button" class="sort" onClick=${() => onSort(/** @type {string} */ (column.sort), mine ? !descending : true)}>
      ${column.name}<span aria-hidden="true">${mine ? (descending ? " ↓" : " ↑") : ""}</span></button></th>`;
}

// The stitch of history and log: one series out of what ClickHouse has and what came live, with no point missing and
// none twice. History counts the records whose offset is below the sink's committed position; what is at or above it
// comes live. Points are upserts by (agent, attempt, env, episode); of two records of one episode the one with the
// greater revision holds, of equal ones the later in the log. So repeats, any order and any resume are harmless.
import {binOf, indexOf, put} from "./bins.js";

/**
 * A finalised episode, as the channel `episodes` and raw history have it.
 * @typedef {{agent: string, attempt: number, env: number, episode: number, revision: number, p: number, o: number,
 *   [field: string]: any}} Row
 * `p` and `o` are partition and offset of its record.
 */
/**
 * Partition -> offset: everything below it is meant. History has all of a partition that is not named, as of the moment
 * it was asked; so what comes live of it is drawn once the sink has named it.
 * @typedef {Record<string, number>} Positions
 */
/**
 * What came live. `rows`: by episode, every record that is known of it; `from`: where the records without a gap begin.
 * @typedef {{rows: Map<string, Row[]>, from: Positions}} Live
 */
/** @typedef {[x: number, y: number | null]} Point */
/**
 * What history answered, by series: bins of a width above 0, or, with width 0, its points.
 * @typedef {{below: Positions, width: number, bins: Map<string, import("./bins.js").Bins>, points: Map<string, Point[]>}} History
 */
/**
 * How rows are drawn: which series, where, how high. A row whose x is outside of [from, to), or NaN, is left out.
 * @typedef {{series: (row: Row) => string, x: (row: Row) => number, y: (row: Row) => number | null,
 *   from?: number, to?: number}} View
 */
/**
 * The series: bins by index, or points in order of x. `wait` is there if history must be asked again, once the sink's
 * committed positions have reached it: without that a point is missing.
 * @typedef {{bins: Map<string, import("./bins.js").Bins>, points: Map<string, Point[]>, wait: Positions | null}} Stitched
 */

/**
 * Return a store without a row, for a stream that begins at `below`.
 * @returns {Live}
 */
export const noRows = () => ({rows: new Map(), from: {}});

/** @param {Row} row */
export const keyOf = (row) => JSON.stringify([row.agent, row.attempt, row.env, row.episode]);

/**
 * Take what a frame of the stream says.
 * @param {Live} live is changed
 * @param {Iterable<Row>} rows in any order, known ones too
 * @param {Positions} [whole] of a snapshot: where its records begin. Between it and what came before, some may be lost
 */
export function absorb(live, rows, whole) {
  for (const row of rows) {
    const key = keyOf(row), known = live.rows.get(key);
    if (!known) live.rows.set(key, [row]);
    else if (!known.some((other) => other.p === row.p && other.o === row.o)) known.push(row);
  }
  for (const p in whole) live.from[p] = Math.max(live.from[p] ?? 0, whole[p]);
}

/**
 * Forget what every history that is drawn has by now.
 * @param {Live} live is changed
 * @param {Positions} below the lowest of them
 */
export function forget(live, below) {
  for (const [key, rows] of live.rows) {
    if (rows.every((row) => row.p in below && isBelow(row, below))) live.rows.delete(key);
  }
  for (const p in below) live.from[p] = Math.max(live.from[p] ?? 0, below[p]);
}

/**
 * Forget the oldest of too many: history must have them before they can be drawn again.
 * @param {Live} live is changed
 * @param {number} most episodes
 */
export function shorten(live, most) {
  for (const [key, rows] of live.rows) {
    if (live.rows.size <= most) return;
    live.rows.delete(key);
    for (const {p, o} of rows) live.from[p] = Math.max(live.from[p] ?? 0, o + 1);
  }
}

/**
 * Return a history that has nothing: live rows are all there is.
 * @param {Live} live
 * @returns {History}
 */
export function noHistory(live) {
  const below = Object.fromEntries([...live.rows.values()].flat().map((row) => [row.p, 0]));
  return {below, width: 0, bins: new Map(), points: new Map()};
}

/**
 * Merge history and live rows.
 * @param {History} history is not changed
 * @param {Live} live
 * @param {View} view
 * @returns {Stitched}
 */
export function stitch(history, live, view) {
  /** @type {Positions} */
  const wait = {};
  for (const p in live.from) if (live.from[p] > (history.below[p] ?? 0)) wait[p] = live.from[p];
  for (const rows of live.rows.values()) {
    for (const {p, o} of rows) if (!(p in history.below)) wait[p] = Math.max(wait[p] ?? 0, o + 1);
  }
  const bins = new Map(history.bins), points = new Map(history.points), mine = new Set();
  for (const {row, alone} of freshRows(history, live)) {
    if (!alone) { // an earlier revision may be in history, and cannot be taken out of it
      wait[row.p] = Math.max(wait[row.p] ?? 0, row.o + 1);
      continue;
    }
    const x = view.x(row), y = view.y(row), name = view.series(row);
    if (!(x >= (view.from ?? -Infinity) && x < (view.to ?? Infinity))) continue; // NaN: it is on no line
    if (!mine.has(name)) {
      if (history.width) bins.set(name, new Map(bins.get(name)));
      else points.set(name, [...(points.get(name) ?? [])]);
      mine.add(name);
    }
    if (history.width) put(/** @type {import("./bins.js").Bins} */ (bins.get(name)), indexOf(x, history.width), binOf(x, y));
    else points.get(name)?.push([x, y]);
  }
  if (!history.width) for (const name of mine) points.get(name)?.sort((a, b) => a[0] - b[0]);
  return {bins, points, wait: Object.keys(wait).length ? wait : null};
}

/**
 * Of each episode the newest record that history has not, and whether history has no earlier one.
 * @param {History} history
 * @param {Live} live
 * @returns {{row: Row, alone: boolean}[]}
 */
function freshRows(history, live) {
  const found = [];
  for (const rows of live.rows.values()) {
    const above = rows.filter((row) => !isBelow(row, history.below));
    if (!above.length) continue;
    const row = above.reduce(newer);
    found.push({row, alone: above.some((other) => other.revision === 1) || history.below[row.p] === 0});
  }
  return found;
}

/** @type {(row: Row, below: Positions) => boolean} */
const isBelow = (row, below) => row.o < (below[row.p] ?? Infinity);
/** @type {(a: Row, b: Row) => Row} */
const newer = (a, b) => (b.revision > a.revision || (b.revision === a.revision && b.o > a.o) ? b : a);

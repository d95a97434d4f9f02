/**
 * Puts runs in order: filtered, grouped, sorted, the pinned ones first. Pure.
 */
import {emptying, filter, valuesOf} from "./filter.js";

/** @typedef {import("./channels.js").Row} Row */
/**
 * What the address says of the list.
 * @typedef {object} View
 * @property {string} q the filter
 * @property {string} group a label or a part of the configuration; "" = no groups
 * @property {string} sort a field, with "-" in front from the largest down; "" = what runs first, then the newest
 * @property {string[]} pins names of runs that come first, whatever the filter says; those that are pinned follow
 * @property {Set<string>} [shut] groups of which only the head is shown
 */
/** @typedef {{row: Row, pinned: boolean}} RunItem */
/** @typedef {{group: string, runs: number, running: number, steps: number, returns: {mean: number, low: number, high: number, runs: number} | null, shut: boolean}} GroupItem */
/** @typedef {RunItem | GroupItem} Item */
/**
 * @typedef {object} Arranged
 * @property {Item[]} items
 * @property {number} kept how many runs the filter let through
 * @property {import("./filter.js").Wrong | null} wrong
 * @property {string} emptying the clause that alone let nothing through; "" = there is none
 */

const NONE = "none";
const LIVES = new Set(["running", "stalled"]);
const MOST_VALUES = 200;

/**
 * Return the list as it is shown.
 * @param {Iterable<Row>} rows
 * @param {View} view
 * @returns {Arranged}
 */
export function arrange(rows, view) {
  const all = [...rows];
  const {clauses, wrong, keeps} = filter(view.q);
  const pins = new Set([...view.pins, ...all.filter((row) => row.pinned).sort(byName).map((row) => row.run)]);
  const pinned = [...pins].flatMap((name) => all.find((row) => row.run === name) ?? []);
  const kept = all.filter((row) => !pins.has(row.run) && keeps(row)).sort(order(view.sort));
  const fit = kept.length + pinned.filter(keeps).length;
  const items = view.group ? grouped(kept, view) : kept.map((row) => ({row, pinned: false}));
  return {
    items: [...pinned.map((row) => ({row, pinned: true})), ...items],
    kept: fit,
    wrong,
    emptying: fit || !all.length ? "" : (emptying(clauses, all)?.text ?? ""),
  };
}

/**
 * Compare two runs. One without the field comes last, whichever way it is sorted.
 * @param {string} sort
 * @returns {(a: Row, b: Row) => number}
 */
export function order(sort) {
  if (!sort) return byLife;
  const down = sort.startsWith("-") ? -1 : 1;
  const field = sort.replace(/^-/, "");
  return (a, b) => {
    const [x] = valuesOf(a, field);
    const [y] = valuesOf(b, field);
    if (x === undefined || y === undefined) return Number(x === undefined) - Number(y === undefined) || byName(a, b);
    return down * compared(x, y) || byName(a, b);
  };
}

/**
 * Return the sort after a click on a column: from the largest down, then up, then none.
 * @param {string} sort
 * @param {string} field
 */
export function nextSort(sort, field) {
  return sort === `-${field}` ? field : sort === field ? "" : `-${field}`;
}

/**
 * Return what runs can be grouped by: labels and parts of the configuration that some of them share, by name.
 * @param {Iterable<Row>} rows
 */
export function groupable(rows) {
  /** @type {Map<string, Set<unknown>>} */
  const values = new Map();
  let runs = 0;
  for (const row of rows) {
    runs += 1;
    for (const name of new Set([...Object.keys(row.labels ?? {}), ...Object.keys(row.config ?? {})])) {
      const found = values.get(name) ?? new Set();
      if (found.size <= MOST_VALUES) found.add(valuesOf(row, name)[0]);
      values.set(name, found);
    }
  }
  return [...values].filter(([, found]) => found.size <= MOST_VALUES && found.size < Math.max(2, runs)).map(([name]) => name).sort();
}

/**
 * @param {Row[]} rows in their order
 * @param {View} view
 * @returns {Item[]}
 */
function grouped(rows, view) {
  /** @type {Map<string, Row[]>} */
  const groups = new Map();
  for (const row of rows) {
    const [value] = valuesOf(row, view.group);
    const name = value === undefined ? NONE : String(value);
    const members = groups.get(name);
    if (members) members.push(row);
    else groups.set(name, [row]);
  }
  return [...groups].sort(([a], [b]) => Number(a === NONE) - Number(b === NONE) || compared(a, b)).flatMap(([name, members]) => {
    const head = headOf(name, members, view.shut?.has(name) ?? false);
    return head.shut ? [head] : [head, ...members.map((row) => ({row, pinned: false}))];
  });
}

/**
 * @param {string} group
 * @param {Row[]} rows
 * @param {boolean} shut
 * @returns {GroupItem}
 */
function headOf(group, rows, shut) {
  const known = rows.map((row) => row.mean_return).filter((value) => typeof value === "number");
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  return {
    group,
    runs: rows.length,
    running: rows.filter((row) => LIVES.has(row.state)).length,
    steps: rows.reduce((sum, row) => sum + (row.steps ?? 0), 0),
    returns: known.length ? {mean, low: Math.min(...known), high: Math.max(...known), runs: known.length} : null,
    shut,
  };
}

/** @param {Row} a @param {Row} b */
function byLife(a, b) {
  return Number(LIVES.has(b.state)) - Number(LIVES.has(a.state)) || (b.started_at ?? 0) - (a.started_at ?? 0) || byName(a, b);
}

/** @param {Row} a @param {Row} b */
function byName(a, b) {
  return a.run < b.run ? -1 : Number(a.run > b.run);
}

/** @param {any} a @param {any} b */
function compared(a, b) {
  const [x, y] = [Number(a), Number(b)];
  if (a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y)) return x - y;
  const [s, t] = [String(a), String(b)];
  return s < t ? -1 : Number(s > t);
}

/**
 * Reads steps out of an answer of the history (columns, with the bytes of their values) and out of rows of the live
 * channel (JSON): the same step is the same, wherever it came from. Pure.
 */
import {decode} from "./values.js";

/** @typedef {import("./episode.js").Step} Step */
/** @typedef {import("./episode.js").Value} Value */

/** @type {Value} */
export const NONE = {dtype: "", shape: []};

/**
 * @param {{rows: number, columns: Record<string, any>, layouts?: Record<string, {dtype: string, shape: number[]}[]>}} answer
 * @returns {Step[]}
 */
export function stepsOf({rows, columns, layouts}) {
  const value = (/** @type {"action" | "observation"} */ name, /** @type {number} */ i) => {
    const layout = layouts?.[name]?.[columns[`${name}_layout`]?.[i]];
    return layout ? valueOf(layout, columns[name][i], name === "action" && columns.step[i] === 0) : NONE;
  };
  return Array.from({length: rows}, (_, i) => ({
    seq: Number(columns.seq[i]),
    step: columns.step[i],
    tick: Number(columns.tick[i]),
    ts: Number(columns.ts[i]),
    reward: finite(columns.reward[i]),
    terminated: Boolean(columns.terminated[i]),
    truncated: Boolean(columns.truncated[i]),
    kind: columns.kind[i],
    status: columns.status[i],
    parent: Number(columns.parent[i]),
    extras: columns.extras[i] ?? {},
    info: columns.info?.[i] ?? "",
    stop: columns.stop?.[i] ?? "",
    action: value("action", i),
    observation: value("observation", i),
  }));
}

/**
 * @param {{dtype: string, shape: number[]}} layout
 * @param {Uint8Array} bytes
 * @param {boolean} reset whether it is the action of a reset: there is none
 * @returns {Value}
 */
function valueOf({dtype, shape}, bytes, reset) {
  if (reset) return NONE;
  if (dtype.startsWith("omitted:") || dtype.startsWith("absent:")) return {dtype, shape};
  return decode(dtype, shape, bytes);
}

/**
 * A step of the live channel, or of an answer in JSON.
 * @param {Record<string, any>} row
 * @returns {Step}
 */
export function stepOf(row) {
  return {
    seq: row.seq,
    step: row.step,
    tick: row.tick ?? -1,
    ts: row.ts,
    reward: row.reward,
    terminated: Boolean(row.terminated),
    truncated: Boolean(row.truncated),
    kind: row.kind ?? "",
    status: row.status ?? "",
    parent: row.parent ?? -1,
    extras: row.extras ?? {},
    info: row.info ?? "",
    stop: row.stop ?? "",
    action: shown(row.action),
    observation: shown(row.observation),
  };
}

/**
 * A value as JSON says it: numbers in `data` or, of bytes, in `base64`; a struct has `parts`.
 * @param {any} value
 * @param {string} [path]
 * @returns {Value}
 */
function shown(value, path = "") {
  if (!value) return NONE;
  const {dtype, shape = []} = value;
  if (value.parts) return {dtype: "struct:", shape: [], parts: leaves(value.parts, path)};
  if (value.base64 !== undefined)
    return {dtype, shape, numbers: Uint8Array.from(atob(value.base64), (byte) => byte.charCodeAt(0))};
  if (dtype === "text" || dtype === "json") return {dtype, shape, text: value.text ?? JSON.stringify(value.data)};
  return value.data
    ? {dtype, shape, numbers: value.data.map((/** @type {any} */ x) => (x === null ? null : Number(x)))}
    : {dtype, shape};
}

/**
 * @param {any} parts
 * @param {string} path
 * @returns {{name: string, value: Value}[]}
 */
function leaves(parts, path) {
  const named = Array.isArray(parts)
    ? parts.map((part, i) => [`${path}[${i}]`, part])
    : Object.entries(parts).map(([name, part]) => [path ? `${path}.${name}` : name, part]);
  return named.flatMap(([name, part]) => (part?.parts ? leaves(part.parts, name) : [{name, value: shown(part)}]));
}

/** @param {number} x */
const finite = (x) => (Number.isFinite(x) ? x : null);

/**
 * How many steps to ask for at once: a power of two, so that a page is about a megabyte.
 * @param {{dtype: string, shape: number[]}[]} layouts of the observations
 */
export function pageSize(layouts) {
  const widest = layouts.reduce((most, {dtype, shape}) => Math.max(most, widthOf(dtype, shape)), 8);
  return 2 ** Math.max(4, Math.min(9, Math.floor(Math.log2(1e6 / widest))));
}

/** Bytes of a value, a guess where it has no fixed width. @param {string} dtype @param {number[]} shape */
function widthOf(dtype, shape) {
  if (/^(omitted|absent):/.test(dtype)) return 0;
  if (!/^[<|][a-z]\d+$/.test(dtype)) return 4000;
  return Number(dtype.slice(2)) * shape.reduce((product, n) => product * Math.abs(n), 1);
}

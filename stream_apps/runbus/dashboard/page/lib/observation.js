/**
 * What an action or an observation is to look at, by its layout, and how its numbers become pixels. Pure.
 */
import {isNumber, spread} from "./spread.js";

/** @typedef {import("./episode.js").Value} Value */

/** @typedef {"image" | "grid" | "vector" | "scalar" | "text" | "json" | "omitted" | "absent" | "none" | "other"} Look */

/** Most numbers of a vector that a heat strip draws as rows. */
export const MOST_ROWS = 512;
const MOST_CELLS = 4096;

/**
 * How an image lies in its shape, or null if the shape is none of an image.
 * @param {number[]} shape
 * @returns {{height: number, width: number, channels: number, first: boolean, panes: number} | null} `first`: channels come
 *   first; `panes`: images that lie side by side (a stack of frames)
 */
export function imageShape(shape) {
  const [a = 0, b = 0, c = 0] = shape;
  if (shape.length === 2) return {height: a, width: b, channels: 1, first: false, panes: 1};
  if (shape.length !== 3) return null;
  if ([1, 3, 4].includes(c)) return {height: a, width: b, channels: c, first: false, panes: 1};
  if ([1, 3].includes(a)) return {height: b, width: c, channels: a, first: true, panes: 1};
  if (a <= 8 && b >= 16 && c >= 16) return {height: b, width: c, channels: 1, first: true, panes: a};
  return null;
}

/** @param {Value} value @returns {Look} */
export function lookOf({dtype, shape}) {
  if (!dtype) return "none";
  if (dtype.startsWith("omitted:")) return "omitted";
  if (dtype.startsWith("absent:")) return "absent";
  if (dtype === "text" || dtype === "json") return dtype;
  if (dtype.startsWith("struct:")) return "other";
  const count = shape.reduce((product, length) => product * length, 1);
  if (shape.length === 0 || count === 1) return "scalar";
  if (dtype === "|u1" && imageShape(shape) && Math.min(...shape.slice(0, 2)) >= 8) return "image";
  if (shape.length === 3 && imageShape(shape) && count > MOST_ROWS) return "image";
  if (shape.length === 2 && Math.min(...shape) > 1 && count <= MOST_CELLS) return "grid";
  if (shape.length === 2 && count > MOST_CELLS) return "image";
  return "vector";
}

/** A layout in words: `float32 [4]`, `uint8 [84, 84, 3]`, `text`. @param {Value} value */
export function layoutText({dtype, shape}) {
  if (!dtype) return "nothing";
  const [state, inner] = /^(omitted|absent):/.test(dtype) ? dtype.split(/:(.*)/s) : ["", dtype];
  const kind = {f: "float", i: "int", u: "uint", b: "bool"}[inner?.[1] ?? ""];
  const bits = Number(inner?.slice(2)) * 8;
  const name = inner?.startsWith("struct:") ? "dict or tuple" : !kind ? inner : kind === "bool" ? kind : kind + bits;
  return `${state ? state + " " : ""}${name}${shape.length ? ` [${shape.join(", ")}]` : ""}`;
}

/**
 * Pixels of an image: RGBA, row by row. Bytes are taken as they are; other numbers are spread from their least to their
 * largest. A number that is none is magenta.
 * @param {ArrayLike<number | null>} numbers
 * @param {string} dtype
 * @param {number[]} shape
 * @returns {{width: number, height: number, data: Uint8ClampedArray<ArrayBuffer>} | null}
 */
export function pixels(numbers, dtype, shape) {
  const image = imageShape(shape);
  if (!image || numbers.length !== shape.reduce((product, length) => product * length, 1)) return null;
  const {height, width, channels, first, panes} = image;
  const scale = dtype === "|u1" ? null : spread(numbers);
  const byte = (/** @type {number | null | undefined} */ x) =>
    x === null || x === undefined ? NaN : scale ? (x - scale.low) * (255 / (scale.high - scale.low || 1)) : x;
  const data = new Uint8ClampedArray(width * panes * height * 4);
  const plane = width * height;
  for (let pane = 0; pane < panes; pane++) {
    for (let place = 0; place < plane; place++) {
      const at = ((Math.floor(place / width) * panes + pane) * width + (place % width)) * 4;
      const of = (/** @type {number} */ channel) =>
        byte(numbers[first ? (pane * channels + channel) * plane + place : place * channels + channel]);
      const red = of(0);
      const [green, blue] = channels >= 3 ? [of(1), of(2)] : [red, red];
      data.set(
        Number.isNaN(red + green + blue) ? [255, 0, 255, 255] : [red, green, blue, channels === 4 ? of(3) : 255],
        at,
      );
    }
  }
  return {width: width * panes, height, data};
}

/**
 * Numbers of a heat strip: one row a dimension, one column a step, each row spread over its own range of the window.
 * @param {(ArrayLike<number | null> | null)[]} columns the values of each step, null = it is not here
 * @returns {{rows: number, left: number, ranges: {low: number, high: number}[], cells: Float32Array}} `cells` row by row in
 *   0..1, NaN = no number; `left` dimensions that were left out
 */
export function heat(columns) {
  const wide = columns.reduce((most, column) => Math.max(most, column?.length ?? 0), 0);
  const rows = Math.min(wide, MOST_ROWS);
  const cells = new Float32Array(rows * columns.length).fill(NaN);
  const ranges = [];
  for (let row = 0; row < rows; row++) {
    const range = spread(columns.map((column) => column?.[row] ?? null));
    const width = range.high - range.low;
    columns.forEach((column, place) => {
      const x = column?.[row];
      if (isNumber(x)) cells[row * columns.length + place] = width ? (x - range.low) / width : 0.5;
    });
    ranges.push(range);
  }
  return {rows, left: wide - rows, ranges, cells};
}

/**
 * A colour of the heat strip, readable in both themes and to the colour-blind: dark blue, through green, to yellow.
 * @param {number} share 0..1; NaN = no number
 * @returns {[number, number, number]}
 */
export function heatColour(share) {
  if (Number.isNaN(share)) return [128, 128, 128];
  const place = Math.max(0, Math.min(1, share)) * (HEAT.length - 1);
  const [from, to] = [HEAT[Math.floor(place)], HEAT[Math.ceil(place)]];
  const mix = (/** @type {number} */ channel) =>
    Math.round(from[channel] + (to[channel] - from[channel]) * (place % 1));
  return [mix(0), mix(1), mix(2)];
}

/** @type {[number, number, number][]} cividis in nine steps (Nunez, Anderton, Renslow 2018) */
const HEAT = [
  [0, 34, 78],
  [32, 56, 110],
  [67, 78, 108],
  [97, 100, 111],
  [124, 123, 120],
  [153, 147, 120],
  [185, 172, 112],
  [219, 199, 97],
  [254, 232, 56],
];

/**
 * Names of discrete actions, as the run says them: `action_names` (or `action_meanings`) of its configuration.
 * @param {Record<string, unknown>} config
 * @returns {string[]}
 */
export function actionNames(config) {
  const names = config["action_names"] ?? config["action_meanings"];
  return Array.isArray(names) ? names.map(String) : [];
}

/**
 * Lanes of discrete actions: the actions of a window in order, or null if the actions are not discrete.
 * @param {(Value | null)[]} actions null = it is not here
 * @param {string[]} names
 * @param {number} most lanes
 * @returns {{labels: string[], lane: (number | null)[]} | null}
 */
export function actionLanes(actions, names, most = 24) {
  /** @type {(number | null)[]} */
  const taken = actions.map((action) =>
    action && lookOf(action) === "scalar" && !/^.f/.test(action.dtype) ? (action.numbers?.[0] ?? null) : null,
  );
  const known = [...new Set(taken.filter((x) => x !== null))].sort((a, b) => a - b);
  if (!known.length || known.length > most) return null;
  const all =
    names.length > known[known.length - 1] && names.length <= most && known[0] >= 0 ? names.map((_, i) => i) : known;
  const place = new Map(all.map((action, i) => [action, i]));
  return {
    labels: all.map((action) => names[action] ?? `${action}`),
    lane: taken.map((x) => (x === null ? null : (place.get(x) ?? null))),
  };
}

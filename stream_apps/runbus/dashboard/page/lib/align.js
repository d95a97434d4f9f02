// Puts series on one x axis, as uPlot wants them: one column of x, and for each series a column beside it.
import {place} from "./stats.js";

/**
 * Columns over the same x. `undefined`: the series has no point at this x, and its line goes on; null: it has one that
 * is not finite, and its line breaks.
 * @typedef {{xs: number[], columns: (number | null | undefined)[][]}} Aligned
 */

/**
 * Align series whose x increase; of a series with several points at one x each has a place of its own.
 * @param {{x: ArrayLike<number>, columns: ArrayLike<number | null | undefined>[]}[]} series
 * @returns {Aligned} the columns of all series, in their order
 */
export function aligned(series) {
  /** @type {number[]} */
  const xs = [];
  const columns = series.map((one) => one.columns.map(() => /** @type {(number | null | undefined)[]} */ ([])));
  const at = series.map(() => 0);
  for (;;) {
    let x = Infinity;
    series.forEach((one, s) => {
      if (at[s] < one.x.length && one.x[at[s]] < x) x = one.x[at[s]];
    });
    if (x === Infinity) break;
    const row = xs.push(x) - 1;
    series.forEach((one, s) => {
      if (at[s] >= one.x.length || one.x[at[s]] !== x) return;
      one.columns.forEach((column, c) => (columns[s][c][row] = column[at[s]]));
      at[s] += 1;
    });
  }
  for (const column of columns.flat()) column.length = xs.length;
  return {xs, columns: columns.flat()};
}

/**
 * Return the row of a column that is nearest to x and has a value, or -1.
 * @param {ArrayLike<number>} xs increasing
 * @param {ArrayLike<number | null | undefined>} column
 * @param {number} x
 * @param {number} [within] no further away than this
 */
export function nearest(xs, column, x, within = Infinity) {
  let up = place(xs, x), down = up - 1;
  while (up < xs.length && column[up] === undefined) up += 1;
  while (down >= 0 && column[down] === undefined) down -= 1;
  const above = up < xs.length ? xs[up] - x : Infinity, below = down >= 0 ? x - xs[down] : Infinity;
  if (Math.min(above, below) > within) return -1;
  return above < below ? up : down;
}

// Statistics of a series for the eye: smoothers that look back only, and numbers that people like to read.
// Values that are not finite (or null) are left out; at their places the result is null.

/**
 * Return the exponential moving average by x: a value `halfLife` of x ago weighs half as much as the newest. Points may
 * lie unevenly; the first values are not drawn towards 0 (the weights are divided by their sum).
 * @param {ArrayLike<number>} xs increasing
 * @param {ArrayLike<number | null | undefined>} ys
 * @param {number} halfLife in units of x, above 0
 * @returns {(number | null | undefined)[]} undefined where `ys` is
 */
export function ema(xs, ys, halfLife) {
  let weight = 0, sum = 0, before = NaN;
  return Array.from(ys, (y, i) => {
    if (y === undefined) return undefined;
    if (y === null || !Number.isFinite(y)) return null;
    const kept = weight ? 0.5 ** ((xs[i] - before) / halfLife) : 0;
    weight = weight * kept + 1;
    sum = sum * kept + y;
    before = xs[i];
    return sum / weight;
  });
}

/**
 * Return the median of each value and the `size - 1` values before it.
 * @param {ArrayLike<number | null | undefined>} ys
 * @param {number} size at least 1
 * @returns {(number | null | undefined)[]} undefined where `ys` is
 */
export function runningMedian(ys, size) {
  /** @type {number[]} */
  const window = [], sorted = /** @type {number[]} */ ([]);
  return Array.from(ys, (y) => {
    if (y === undefined) return undefined;
    if (y === null || !Number.isFinite(y)) return null;
    window.push(y);
    sorted.splice(place(sorted, y), 0, y);
    if (window.length > size) sorted.splice(place(sorted, /** @type {number} */ (window.shift())), 1);
    const half = sorted.length >> 1;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  });
}

/**
 * Return the index of the first element of an increasing array that is at least `value`.
 * @param {ArrayLike<number>} sorted
 * @param {number} value
 */
export function place(sorted, value) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const half = (low + high) >> 1;
    if (sorted[half] < value) low = half + 1;
    else high = half;
  }
  return low;
}

/**
 * Return the number of 1, 2 or 5 times a power of ten that is nearest above `value`.
 * @param {number} value above 0
 */
export function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value) + 1e-9);
  return (/** @type {number} */ ([1, 2, 5, 10].find((step) => step * power >= value * (1 - 1e-9)))) * power;
}

// Bins: a series in as many columns as the screen has, without losing an extreme. A bin's width is a power of two and
// its edges are multiples of it, so a bin never moves when the series grows: wider bins are pairs of these.
// Values that are not finite are in no figure of a bin; they are counted beside them, and drawn as a gap.

/**
 * One bin: what its finite values are together. `first` and `last` are by x (of the same x: the smaller, the larger).
 * @typedef {{count: number, gaps: number, sum: number, min: number, max: number,
 *   first: number, firstX: number, last: number, lastX: number, p10?: number, p90?: number}} Bin
 * `p10` and `p90` are there if they were computed from all its values: two bins have none together. `gaps` are the values that are not finite. A bin without a finite value has count 0 and NaN in its figures.
 */
/** @typedef {Map<number, Bin>} Bins by index: floor(x / width) */

/**
 * Return the index of the bin that x is in.
 * @param {number} x
 * @param {number} width
 */
export const indexOf = (x, width) => Math.floor(x / width);

/**
 * Return the x at which a bin is drawn: the middle of the integers in it.
 * @param {number} index
 * @param {number} width
 */
export const middle = (index, width) => index * width + (width - 1) / 2;

/**
 * Return the bin of one value.
 * @param {number} x
 * @param {number | null} y null is a value that was not finite on its way
 * @returns {Bin}
 */
export function binOf(x, y) {
  if (y === null || !Number.isFinite(y)) {
    return {count: 0, gaps: 1, sum: 0, min: NaN, max: NaN, first: NaN, firstX: NaN, last: NaN, lastX: NaN};
  }
  return {count: 1, gaps: 0, sum: y, min: y, max: y, first: y, firstX: x, last: y, lastX: x};
}

/**
 * Return the bin of the values of two.
 * @param {Bin} a
 * @param {Bin} b
 * @returns {Bin}
 */
export function merged(a, b) {
  const gaps = a.gaps + b.gaps;
  if (!a.count || !b.count) return {...(a.count ? a : b), gaps}; // the other one has no finite value
  const [early, late] = [earlier(b, a) ? b : a, later(b, a) ? b : a];
  return {
    count: a.count + b.count, gaps, sum: a.sum + b.sum, min: Math.min(a.min, b.min), max: Math.max(a.max, b.max),
    first: early.first, firstX: early.firstX, last: late.last, lastX: late.lastX,
  };
}

/** @type {(a: Bin, b: Bin) => boolean} */
const earlier = (a, b) => a.firstX < b.firstX || (a.firstX === b.firstX && a.first < b.first);
/** @type {(a: Bin, b: Bin) => boolean} */
const later = (a, b) => a.lastX > b.lastX || (a.lastX === b.lastX && a.last > b.last);

/**
 * Put a bin among others, into the one of its index if there is one.
 * @param {Bins} bins is changed; its bins are not
 * @param {number} index
 * @param {Bin} bin
 */
export function put(bins, index, bin) {
  const there = bins.get(index);
  bins.set(index, there ? merged(there, bin) : bin);
}

/**
 * Return the mean of a bin, null if it has no finite value: what is drawn as its line.
 * @param {Bin} bin
 */
export const mean = (bin) => (bin.count ? bin.sum / bin.count : null);

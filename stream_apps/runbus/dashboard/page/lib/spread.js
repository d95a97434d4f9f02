/**
 * Finds between which numbers something is drawn. Pure.
 */

/** Whether there is a number that can be drawn. @param {number | null | undefined} x @returns {x is number} */
export const isNumber = (x) => x !== null && x !== undefined && Number.isFinite(x);

/**
 * The least and the largest finite number.
 * @param {ArrayLike<number | null>} numbers
 */
export function spread(numbers) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < numbers.length; i++) {
    const x = numbers[i];
    if (!isNumber(x)) continue;
    if (x < low) low = x;
    if (x > high) high = x;
  }
  return low <= high ? {low, high} : {low: 0, high: 0};
}

/** The range of a curve: its own, with zero in it if it is drawn from zero. @param {(number | null | undefined)[]} values @param {boolean} zero */
export function rangeOf(values, zero) {
  const {low, high} = spread(/** @type {any} */ (values));
  const [least, most] = zero ? [Math.min(0, low), Math.max(0, high)] : [low, high];
  return least === most ? {low: least - 1, high: most + 1} : {low: least, high: most};
}

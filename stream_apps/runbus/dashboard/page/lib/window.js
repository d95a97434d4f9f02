/**
 * Moves a window over a long list by index, so that only what is seen is drawn. Pure.
 *
 * A tall spacer would end at the largest height that a browser has: 67,000 rows of 500 px.
 */

/**
 * Return the first index of the window, inside the list.
 * @param {number} top
 * @param {number} size rows of the window
 * @param {number} count rows of the list
 */
export function clamp(top, size, count) {
  return Math.max(0, Math.min(Math.floor(top), count - size));
}

/**
 * Return the first index of a window that has been moved as little as possible to show a row.
 * @param {number} top
 * @param {number} at the row
 * @param {number} size
 * @param {number} count
 */
export function showing(top, at, size, count) {
  if (at < top) return clamp(at, size, count);
  return clamp(at >= top + size ? at - size + 1 : top, size, count);
}

/**
 * Return how many rows a turn of the wheel moves; it adds up what is less than a row.
 * @param {{left: number}} rest
 * @param {number} pixels
 * @param {number} height of a row, in pixels
 */
export function turned(rest, pixels, height) {
  rest.left += pixels / height;
  const rows = Math.trunc(rest.left);
  rest.left -= rows;
  return rows;
}

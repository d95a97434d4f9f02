// What bins are, said as simply as can be: for the tests of what works with them.
import { binOf, indexOf, put } from "../../stream_apps/runbus/dashboard/page/lib/bins.js";

/**
 * Return the bins of some points.
 * @param {Iterable<[number, number | null]>} points x and y, in any order
 * @param {number} width
 * @returns {import("../../stream_apps/runbus/dashboard/page/lib/bins.js").Bins}
 */
export function binned(points, width) {
  /** @type {import("../../stream_apps/runbus/dashboard/page/lib/bins.js").Bins} */
  const bins = new Map();
  for (const [x, y] of points) put(bins, indexOf(x, width), binOf(x, y));
  return bins;
}

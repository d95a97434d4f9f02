/**
 * Makes the line of a whole episode out of bins of its rewards: what is missing in a bin is a hole. Pure.
 */

/** @typedef {{from: number[], to: number[], min: (number | null)[], max: (number | null)[], holes: {from: number, to: number, state: string}[]}} Overview */

/**
 * @param {Record<string, any[]>} columns `bin` (its first step), `count` of steps, `min` and `max` of the rewards
 * @param {number} width steps a bin
 * @param {number} first step of the episode
 * @param {number} last step that is stored
 * @returns {Overview}
 */
export function overviewOf({bin, count, min, max}, width, first, last) {
  /** @type {Overview} */
  const found = {from: [], to: [], min: [...min], max: [...max], holes: []};
  const hole = (/** @type {number} */ from, /** @type {number} */ to) =>
    from <= to && found.holes.push({from, to, state: "lost"});
  let next = first;
  bin.forEach((from, i) => {
    if (from > last) return; // it came while the question was asked
    const to = Math.min(last, from + width - 1);
    hole(next, from - 1);
    if (count[i] < to - Math.max(first, from) + 1) hole(Math.max(first, from), to);
    found.from.push(from);
    found.to.push(to);
    next = to + 1;
  });
  hole(next, last);
  return found;
}

/**
 * Sorts the metrics of a run: what belongs to no step, each name on an axis of its own. Pure.
 */

/** @typedef {{name: string, axis: string, placed: boolean, values: number, sources: number, last: number | null}} Metric */

/** So many have a panel unless the address says which. */
const FIRST = 4;

/**
 * Return the metrics that an answer of `/run/metrics` has.
 * @param {{rows: number, columns: Record<string, any[]>} | null} answer
 * @returns {Metric[]}
 */
export function metricsOf(answer) {
  const {name, axis, placed, values, sources, last} = answer?.columns ?? {};
  return Array.from({length: answer?.rows ?? 0}, (_, i) => ({
    name: name[i], axis: axis[i], placed: Boolean(placed[i]), values: Number(values[i]), sources: Number(sources[i]), last: last[i],
  }));
}

/** What tells a metric from the others. @param {Pick<Metric, "name" | "axis">} metric */
export const keyOf = ({name, axis}) => `${axis}:${name}`;

/**
 * Return those that are shown: of the address, else the first; by axis, in the order of their names.
 * @param {Metric[]} all
 * @param {string[] | null} chosen keys; null = the address says nothing
 * @returns {Map<string, Metric[]>}
 */
export function shownOf(all, chosen) {
  const shown = chosen ? all.filter((metric) => chosen.includes(keyOf(metric))) : all.slice(0, FIRST);
  const axes = /** @type {Map<string, Metric[]>} */ (new Map());
  for (const metric of shown) axes.set(metric.axis, [...(axes.get(metric.axis) ?? []), metric]);
  return axes;
}

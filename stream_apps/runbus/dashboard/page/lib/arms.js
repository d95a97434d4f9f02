/**
 * Reads what `/compare` answers: arms of runs, and their curves. Pure.
 */
import {middle} from "./bins.js";
import {look, looks} from "./colour.js";

/** What an arm's runs are together. @typedef {"iqm" | "mean" | "median"} Statistic */
/** @type {Record<Statistic, string>} */
export const STATISTICS = {iqm: "mean of the middle half (IQM)", mean: "mean", median: "median"};

/**
 * One arm and what its runs scored; `low` and `high` are null if there are too few runs for an interval.
 * @typedef {{arm: string, runs: string[], scores: number[], seeds: number, strata: number, episodes: number,
 *   at: number, low: number | null, high: number | null, look: {colour: string, dash: number[]}}} Arm
 */

/**
 * Return the arms of an answer, the best first.
 * @param {any} answer
 * @param {Statistic} statistic
 * @returns {Arm[]}
 */
export function armsOf({columns, rows}, statistic) {
  const known = looks(columns.arm);
  const found = Array.from({length: rows}, (_, i) => ({
    arm: columns.arm[i], runs: columns.runs[i], scores: columns.scores[i], seeds: columns.seeds[i], strata: columns.strata[i],
    episodes: columns.episodes[i], at: columns[statistic][i], low: columns[`${statistic}_low`][i], high: columns[`${statistic}_high`][i],
    look: known.get(columns.arm[i]) ?? look(columns.arm[i]),
  }));
  return found.sort((a, b) => b.at - a.at || (a.arm < b.arm ? -1 : 1));
}

/**
 * Return the curve of each arm that is not hidden. What is hidden changes no other curve: each is of its own runs.
 * @param {any} answer of `/compare/curve`
 * @param {Statistic} statistic
 * @param {Set<string>} hidden
 * @returns {import("../ui/chart.js").Series[]}
 */
export function curvesOf({columns, rows, width}, statistic, hidden) {
  /** @type {Map<string, Required<Pick<import("../ui/chart.js").Series, "x" | "y" | "min" | "max">>>} */
  const arms = new Map(), known = looks(columns.arm);
  for (let i = 0; i < rows; i += 1) {
    const arm = columns.arm[i];
    if (hidden.has(arm)) continue;
    let one = arms.get(arm);
    if (!one) arms.set(arm, (one = {x: [], y: [], min: [], max: []}));
    one.x.push(middle(columns.bin[i] / width, width));
    one.y.push(columns[statistic][i]);
    one.min.push(columns[`${statistic}_low`][i] ?? undefined);
    one.max.push(columns[`${statistic}_high`][i] ?? undefined);
  }
  return [...arms].map(([arm, {min, max, ...one}]) => {
    const band = min.some((value) => value !== undefined) ? {min, max, p10: min, p90: max} : {};
    return {key: arm, label: arm || "(not set)", look: known.get(arm) ?? look(arm), ...one, ...band};
  });
}

/**
 * Return the pairs of arms that are both shown, each once: the first is the better one.
 * @param {any} answer of `/compare/better`
 * @param {Set<string>} hidden
 * @returns {{arm: string, other: string, p: number, low: number | null, high: number | null}[]}
 */
export function pairsOf({columns, rows}, hidden) {
  return Array.from({length: rows}, (_, i) => ({arm: columns.arm[i], other: columns.other[i], p: columns.probability[i], low: columns.low[i], high: columns.high[i]}))
    .filter(({arm, other, p}) => !hidden.has(arm) && !hidden.has(other) && (p > 0.5 || (p === 0.5 && arm < other)));
}

/**
 * Return the settings that differ: a row a setting, a cell a run; `other`: it is not what most runs have.
 * @param {Record<string, Record<string, unknown>>} differs
 * @param {string[]} runs
 * @returns {{setting: string, cells: {text: string, other: boolean}[]}[]}
 */
export function differences(differs, runs) {
  return Object.entries(differs).sort((a, b) => (a[0] < b[0] ? -1 : 1)).map(([setting, values]) => {
    const texts = runs.map((run) => (run in values ? plain(values[run]) : "not set"));
    const most = mostOf(texts);
    return {setting, cells: texts.map((text) => ({text, other: text !== most}))};
  });
}

/** @param {unknown} value */
const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** @param {string[]} texts */
function mostOf(texts) {
  const counts = new Map();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return [...counts].reduce((a, b) => (b[1] > a[1] ? b : a), ["", 0])[0];
}

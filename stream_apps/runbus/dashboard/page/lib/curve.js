/**
 * Turns answers of `/run/curve` into history for the stitch, and what was stitched into series for a chart. Pure.
 *
 * The server counts x in steps, episodes or microseconds. A chart has milliseconds for times, as browsers do.
 */
import {mean, middle} from "./bins.js";
import {look, looks} from "./colour.js";
import {moment} from "./format.js";

/** @typedef {import("./stitch.js").History} History */
/** @typedef {import("./axis.js").Kind} Kind */
/** Which lines there are: one for all, one an agent, one a stream. @typedef {"run" | "agent" | "stream"} By */

/** How many of the server's units are one of the chart's. @param {Kind} kind */
export const unitsOf = (kind) => (kind === "time" || kind === "relative" ? 1000 : 1);

/**
 * Return partition -> offset of a topic, from positions by `topic:partition`.
 * @param {Record<string, number>} below
 * @param {string} topic without its prefix
 * @returns {import("./stitch.js").Positions}
 */
export function positions(below, topic) {
  const found = /** @type {Record<string, number>} */ ({});
  for (const [place, offset] of Object.entries(below)) {
    const cut = place.lastIndexOf(":"), name = place.slice(0, cut);
    if (name === topic || name.endsWith(`.${topic}`)) found[place.slice(cut + 1)] = offset;
  }
  return found;
}

/**
 * Return the name of a line.
 * @param {By} by
 * @param {string} agent
 * @param {number} attempt
 */
export const lineOf = (by, agent, attempt) => (by === "run" ? "" : by === "agent" ? agent : `${agent}/${attempt}`);

/**
 * Return what an answer says, by line.
 * @param {import("./columns.js").Answer} answer
 * @param {By} by
 * @param {string} topic whose records its points are
 * @returns {History}
 */
export function historyOf(answer, by, topic) {
  const {agent, attempt, ...column} = answer.columns, width = answer.width;
  const history = /** @type {History} */ ({below: positions(answer.fresh?.below ?? {}, topic), width, bins: new Map(), points: new Map()});
  for (let i = 0; i < answer.rows; i += 1) {
    const name = lineOf(by, agent[i], Number(attempt[i]));
    if (width) lineIn(history.bins, name, () => new Map()).set(Math.floor(Number(column.bin[i]) / width), binAt(column, i));
    else lineIn(history.points, name, () => []).push([Number(column.x[i]), Number.isFinite(column.y[i]) ? column.y[i] : null]);
  }
  for (const points of history.points.values()) points.sort((a, b) => a[0] - b[0]);
  return history;
}

/**
 * @param {Record<string, any>} column
 * @param {number} i
 * @returns {import("./bins.js").Bin}
 */
function binAt(column, i) {
  const x = Number(column.bin[i]); // where in the bin its first and last value lie is not said; live ones come later
  return {
    count: Number(column.count[i]), gaps: Number(column.bad[i]), sum: column.sum[i], min: column.min[i], max: column.max[i],
    first: column.first[i], firstX: x, last: column.last[i], lastX: x, p10: column.p10?.[i], p90: column.p90?.[i],
  };
}

/**
 * @template T
 * @param {Map<string, T>} map
 * @param {string} name
 * @param {() => T} make
 */
function lineIn(map, name, make) {
  let found = map.get(name);
  if (found === undefined) map.set(name, (found = make()));
  return found;
}

/**
 * Return how rows of the channel `episodes` lie on a curve, in the server's units.
 * @param {{y: string, kind: Kind, by: By, origin: number, agent?: string, from?: number, to?: number}} what
 * @returns {import("./stitch.js").View}
 */
export function viewOf({y, kind, by, origin, agent, from, to}) {
  const x = {
    seq: (/** @type {any} */ row) => row.last_seq,
    episode: (/** @type {any} */ row) => row.episode,
    time: (/** @type {any} */ row) => row.last_ts,
    relative: (/** @type {any} */ row) => row.last_ts - origin,
  }[kind];
  const mine = (/** @type {any} */ row) => !agent || row.agent === agent;
  return {x: (row) => (mine(row) ? x(row) : NaN), y: (row) => row[y], series: (row) => lineOf(by, row.agent, row.attempt), from, to};
}

/**
 * Return the series of a chart, in the order of their names.
 * @param {Pick<import("./stitch.js").Stitched, "bins" | "points">} stitched
 * @param {number} width of its bins
 * @param {{run: string, kind: Kind, by: By, all: string, agents: string[]}} how `all` names the line of all;
 *   `agents`: every agent of the run, as each has its own look
 * @returns {import("../ui/chart.js").Series[]}
 */
export function seriesOf({bins, points}, width, {run, kind, by, all, agents}) {
  const units = unitsOf(kind), known = looks(agents.map((agent) => `${run}/${agent}`));
  const about = (/** @type {string} */ name) => {
    const cut = by === "stream" ? name.lastIndexOf("/") : name.length, agent = name.slice(0, cut);
    const label = by === "run" ? all : by === "agent" ? agent : `${agent} of ${moment(Number(name.slice(cut + 1)))}`;
    return {key: name, label, look: known.get(`${run}/${agent}`) ?? look(`${run}/${agent}`)};
  };
  const names = [...(width ? bins : points).keys()].sort((a, b) => (a < b ? -1 : 1));
  return names.map((name) => ({...about(name), ...(width ? ofBins(/** @type {any} */ (bins.get(name)), width, units) : ofPoints(points.get(name) ?? [], units))}));
}

/**
 * @param {import("./bins.js").Bins} bins
 * @param {number} width
 * @param {number} units
 */
function ofBins(bins, width, units) {
  const rows = [...bins].sort((a, b) => a[0] - b[0]);
  const column = (/** @type {(bin: import("./bins.js").Bin) => number | undefined} */ read) => rows.map(([, bin]) => (bin.count ? read(bin) : null));
  const band = rows.some(([, bin]) => bin.p10 !== undefined);
  return {
    x: rows.map(([index]) => middle(index, width) / units), y: rows.map(([, bin]) => mean(bin)), min: column((bin) => bin.min), max: column((bin) => bin.max),
    ...(band ? {p10: column((bin) => bin.p10), p90: column((bin) => bin.p90)} : {}),
    gaps: rows.reduce((sum, [, bin]) => sum + bin.gaps, 0),
  };
}

/**
 * @param {import("./stitch.js").Point[]} points
 * @param {number} units
 */
function ofPoints(points, units) {
  const y = points.map(([, value]) => (value !== null && Number.isFinite(value) ? value : null));
  return {x: points.map(([x]) => x / units), y, gaps: y.filter((value) => value === null).length};
}

/**
 * Lists the streams of a run: what each agent does, in each of its attempts.
 */
import {html, useSignal} from "../lib/preact.js";
import {ago, count, duration, exact, moment, number} from "../lib/format.js";
import {now} from "../lib/live.js";
import {route, set} from "../lib/route.js";
import {look, looks} from "../lib/colour.js";
import {Swatch} from "./chart.js";
import {Panel} from "./panel.js";
import {State} from "./state.js";
import {Table} from "./table.js";

/** @typedef {import("../lib/channels.js").Row} Row */

/** A clock that is further from the broker's is said. */
const MOST_OFF_S = 60;

/**
 * Return a row a stream: what is live, beside what history says.
 * @param {Row[]} streams
 * @param {Row[]} told
 * @returns {Row[]}
 */
export function together(streams, told) {
  const key = (/** @type {Row} */ row) => `${row.agent}/${row.attempt}`;
  /** @type {Map<string, Row>} */
  const known = new Map(told.map((row) => [key(row), {...row, state: row.outcome, steps: row.stored}]));
  for (const row of streams) {
    const before = known.get(key(row)) ?? {};
    known.set(key(row), {...before, ...row, steps: Math.max(row.steps, before.stored ?? 0), episodes: row.episodes ?? before.episodes});
  }
  return [...known].map(([name, row]) => ({...row, key: name}));
}

/** @param {{run: string, streams: Row[], told: Row[]}} props */
export function Agents({run, streams, told}) {
  const sort = useSignal("agent"), descending = useSignal(false), chosen = route.value.params.get("agent");
  const rows = together(streams, told).sort((a, b) => order(a, b, sort.value, descending.value));
  const known = looks(rows.map((row) => `${run}/${row.agent}`));
  const columns = [
    {name: "Agent", sort: "agent", cell: (/** @type {Row} */ row) => html`<${Swatch} look=${known.get(`${run}/${row.agent}`) ?? look("")} /> <button type="button" class="sort" aria-pressed=${chosen === row.agent}
      title="Show this agent alone, or all again" onClick=${() => set({agent: chosen === row.agent ? null : row.agent})}>${row.agent}</button>${row.role ? html` <small class="muted">metrics</small>` : ""}${wrongClock(row)}`},
    {name: "Attempt", sort: "attempt", wide: true, cell: (/** @type {Row} */ row) => html`<span title=${row.attempt}>${moment(row.attempt)}</span>`},
    {name: "State", sort: "state", cell: (/** @type {Row} */ row) => row.state && html`<${State} state=${row.state} />`},
    {name: "Steps", sort: "steps", num: true, cell: (/** @type {Row} */ row) => html`<span title=${exact(row.steps)}>${count(row.steps)}</span>`},
    {name: "Steps/s", sort: "sps", num: true, cell: (/** @type {Row} */ row) => count(row.sps)},
    {name: "Episodes", sort: "episodes", num: true, wide: true, cell: (/** @type {Row} */ row) => count(row.episodes)},
    {name: "Last return", sort: "last_return", num: true, cell: (/** @type {Row} */ row) => (row.episodes ? number(row.last_return) : "–")},
    {name: "Return now", sort: "running_return", num: true, wide: true, cell: (/** @type {Row} */ row) => (row.state === "running" ? html`${number(row.running_return)} <span class="unit">in ${count(row.running_length)} steps</span>` : "–")},
    {name: "Dropped", sort: "dropped", num: true, wide: true, cell: (/** @type {Row} */ row) => html`<span class=${row.dropped ? "warn" : "muted"}>${count(row.dropped)}</span>`},
    {name: "Newest", sort: "newest_ts", num: true, wide: true, cell: (/** @type {Row} */ row) => (row.newest_ts ? ago(now.value - row.newest_ts / 1000) : "–")},
  ];
  const onSort = (/** @type {string} */ name, /** @type {boolean} */ down) => {
    sort.value = name;
    descending.value = down;
  };
  return html`<${Panel} title="Agents" class="wide" source=${{path: "/run", params: {run}}} tools=${html`<span class="fresh">${rows.length} streams</span>`}>
    <${Table} label="Agents" columns=${columns} rows=${rows} keyOf=${(/** @type {Row} */ row) => row.key} sort=${sort.value} descending=${descending.value} onSort=${onSort} view=${12} />
  </${Panel}>`;
}

/** What is said of a clock that is more than a minute off; all times of the agent's steps are by it. @param {Row} row */
function wrongClock({clock_s: off}) {
  if (!(Math.abs(off ?? 0) > MOST_OFF_S)) return "";
  return html` <small class="warn" title="Times of its steps are by its own clock">clock ${duration(Math.abs(off) * 1000)} ${off > 0 ? "ahead" : "behind"}</small>`;
}

/** @param {Row} a @param {Row} b @param {string} by @param {boolean} descending */
function order(a, b, by, descending) {
  const [x, y] = [a[by] ?? -Infinity, b[by] ?? -Infinity];
  return (x < y ? -1 : x > y ? 1 : 0) * (descending ? -1 : 1) || (a.key < b.key ? -1 : 1);
}

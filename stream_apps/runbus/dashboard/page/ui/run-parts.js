/**
 * Draws what is no curve of a run: how its episodes ended, what its actions were, what happened to it, its streams, its
 * episodes.
 */
import {html, useEffect, useSignal} from "../lib/preact.js";
import {positions, unitsOf} from "../lib/curve.js";
import {count, exact, number} from "../lib/format.js";
import {expose} from "../lib/inspect.js";
import {session} from "../lib/session.js";
import {Agents} from "./agents.js";
import {freshOf, useAnswer} from "./answer.js";
import {Episodes} from "./episodes.js";
import {Later} from "./later.js";
import {Marks} from "./marks.js";
import {Panel} from "./panel.js";

const metrics = async () => (await import("./metrics.js")).Metrics;
const scores = async () => (await import("./metrics.js")).Scores;
const notes = async () => (await import("./notes.js")).Notes;
const OFTEN_MS = 15_000, SELDOM_MS = 60_000;

/**
 * @param {{run: string, alive: boolean, agent: string, axis: import("../lib/axis.js").Axis, recent: import("../lib/curves.js").RecentEpisodes,
 *   streams: import("../lib/channels.js").Row[], told: import("../lib/channels.js").Row[], onNames: (names: string[]) => void}} props
 */
export function Parts({run, alive, agent, axis, recent, streams, told, onNames}) {
  const every = alive ? OFTEN_MS : SELDOM_MS, ask = (/** @type {string} */ path) => useAnswer(path, {run}, every);
  const named = ask("/run/metrics"), judged = ask("/run/scores"), said = ask("/run/notes"), written = ask("/run/artifacts");
  const writes = useSignal(false); // what notes are drawn by is loaded once there are any, or somebody wants to write one
  const has = (/** @type {{answer: {value: any}}} */ asked) => asked.answer.value?.rows > 0;
  return html`
    ${has(named) && html`<${Later} load=${metrics} run=${run} answer=${named.answer.value} every=${every} />`}
    ${has(judged) && html`<${Later} load=${scores} run=${run} asked=${judged} />`}
    ${has(said) || has(written) || writes.value ? html`<${Later} load=${notes} of=${{run}} said=${said} written=${written} open=${writes.value} />`
      : session.value.annotates && html`<button type="button" class="quiet wide" onClick=${() => (writes.value = true)}>Add a note or a tag</button>`}
    <${Reasons} run=${run} every=${every} streams=${streams} recent=${recent} />
    <${Actions} run=${run} every=${every} agent=${agent} />
    <${MarksPanel} run=${run} every=${every} axis=${axis} />
    <${Agents} run=${run} streams=${streams} told=${told} />
    <${Episodes} run=${run} agent=${agent} recent=${recent} onNames=${onNames} />`;
}

/** @param {{rows: [string, number][], unit: string}} props */
function Bars({rows, unit}) {
  const all = rows.reduce((sum, [, n]) => sum + n, 0), most = Math.max(1, ...rows.map(([, n]) => n));
  return html`<div class="bars" role="list" tabindex="0" aria-label=${unit}>${rows.map(([name, n]) => html`<div role="listitem" key=${name}><span>${name}</span>
    <span class="track" aria-hidden="true"><i style=${{width: `${(100 * n) / most}%`}}></i></span>
    <span class="num" title=${`${exact(n)} ${unit}`}>${count(n)} <span class="unit">${((100 * n) / Math.max(1, all)).toFixed(1)} %</span></span></div>`)}</div>`;
}

/** @param {{run: string, every: number, streams: import("../lib/channels.js").Row[], recent: import("../lib/curves.js").RecentEpisodes}} props */
function Reasons({run, every, streams, recent}) {
  const asked = useAnswer("/run/reasons", {run}, every), answer = asked.answer.value;
  void recent.version.value;
  const counts = new Map(/** @type {[string, number][]} */ ((answer?.columns.reason ?? []).map((/** @type {string} */ reason, /** @type {number} */ i) => [reason, answer.columns.count[i]])));
  const below = answer ? positions(answer.fresh.below, "episodes") : {};
  if (answer) {
    for (const records of recent.store.rows.values()) {
      const row = records[records.length - 1];
      if (row.o >= (below[row.p] ?? Infinity) && row.revision === 1) counts.set(row.reason, (counts.get(row.reason) ?? 0) + 1);
    }
  } else {
    for (const stream of streams) for (const [reason, n] of Object.entries(stream.reasons ?? {})) counts.set(reason, (counts.get(reason) ?? 0) + n);
  }
  useEffect(() => expose("reasons", () => Object.fromEntries(counts)));
  return html`<${Panel} title="How episodes ended" unit="episodes" fresh=${freshOf(asked)} source=${{path: "/run/reasons", params: {run}}}>
    ${counts.size ? html`<${Bars} unit="episodes" rows=${[...counts].filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1])} />` : html`<p class="none">No episode has ended yet.</p>`}
  </${Panel}>`;
}

/** @param {{run: string, every: number, agent: string}} props */
function Actions({run, every, agent}) {
  const params = {run, agent: agent || undefined}, asked = useAnswer("/run/actions", params, every), answer = asked.answer.value;
  useEffect(() => expose("actions", () => answer));
  const {dimension, action, low, high, count: counts} = answer?.columns ?? {dimension: []};
  const groups = [...new Set(/** @type {number[]} */ (dimension))];
  const rows = (/** @type {number} */ group) => dimension.flatMap((/** @type {number} */ d, /** @type {number} */ i) => (
    d === group ? [[d < 0 ? action[i] : `${number(low[i])} to ${number(high[i])}`, counts[i]]] : []));
  return html`<${Panel} title="Actions" unit=${answer ? `newest ${count(answer.newest)} steps of each stream` : ""} fresh=${freshOf(asked)} source=${{path: "/run/actions", params}}>
    ${groups.map((group) => html`${group >= 0 && groups.length > 1 ? html`<h3>number ${group + 1}</h3>` : null}<${Bars} unit="steps" rows=${rows(group)} />`)}
    ${groups.length ? null : html`<p class="none">${answer ? "No action is stored yet, or none that is numbers or words." : "Asking …"}</p>`}
  </${Panel}>`;
}

/** @param {{run: string, every: number, axis: import("../lib/axis.js").Axis}} props */
function MarksPanel({run, every, axis}) {
  const params = {run, x: axis.kind}, asked = useAnswer("/run/marks", params, every), answer = asked.answer.value;
  const {columns, rows} = answer ?? {columns: {}, rows: 0}, units = unitsOf(axis.kind);
  const marks = Array.from({length: rows}, (_, i) => ({kind: columns.kind[i], x: columns.x[i] / units, agent: columns.agent[i], count: columns.count[i]}));
  useEffect(() => expose("marks", () => marks));
  return html`<${Panel} title="What happened" class="wide" fresh=${freshOf(asked)} source=${{path: "/run/marks", params}}>
    ${answer ? html`<${Marks} marks=${marks} axis=${axis} />` : html`<p class="none">Asking …</p>`}</${Panel}>`;
}

/**
 * The page Runs: what all runs do now, and each run in a row.
 */
import {html, useComputed, useEffect, useMemo, useSignal} from "../lib/preact.js";
import {count, ago, exact, number} from "../lib/format.js";
import {expose} from "../lib/inspect.js";
import {useKeys} from "../lib/keys.js";
import {follow, now} from "../lib/live.js";
import {go, href, route, set} from "../lib/route.js";
import {Empty} from "../ui/states.js";
import {State} from "../ui/state.js";
import {Spark} from "../ui/spark.js";

/** @typedef {import("../lib/channels.js").Row} Row */

export default function Runs() {
  const live = useMemo(() => follow("runs"), []);
  useEffect(() => () => live.close(), []);
  const at = useSignal(0);
  const rows = useComputed(() => [...live.channel("runs").read().values()].sort(byNewest));
  useEffect(() => expose("runs", () => rows.value), []);
  const move = (/** @type {number} */ by) => (at.value = Math.max(0, Math.min(rows.value.length - 1, at.value + by)));
  useKeys({
    down: () => move(1),
    up: () => move(-1),
    open: () => rows.value[at.value] && go("/run", {run: rows.value[at.value].run}),
    filter: () => document.getElementById("filter")?.focus(),
  });
  if (!live.ready.value) return html`<p class="note">Asking for the runs …</p>`;
  if (!rows.value.length) return html`<${NothingYet} />`;
  const wanted = (route.value.params.get("q") ?? "").toLowerCase();
  const shown = rows.value.filter((row) => row.run.toLowerCase().includes(wanted));
  return html`
    <h1 class="hidden">Runs</h1>
    <${Totals} channel=${live.channel("totals")} />
    <div class="runs-tools">
      <input id="filter" type="search" placeholder="Filter runs" aria-label="Filter runs" value=${route.value.params.get("q") ?? ""}
        onInput=${(/** @type {any} */ event) => set({q: event.currentTarget.value}, {replace: true})} />
    </div>
    <section class="panel"><div class="scroll-x">
      <table class="runs cards" aria-label="Runs">
        <thead><tr><th>Run</th><th>State</th><th class="num">Steps</th><th class="num">Steps/s</th><th class="num">Episodes/min</th>
          <th class="num">Mean return</th><th>Returns</th><th class="num">Lost</th><th class="num">Newest</th></tr></thead>
        <tbody>${shown.map((row, index) => html`<${RunRow} key=${row.run} row=${row} cursor=${index === at.value} />`)}</tbody>
      </table>
    </div></section>`;
}

/** @param {{row: Row, cursor: boolean}} props */
function RunRow({row, cursor}) {
  return html`<tr class=${cursor ? "cursor" : ""}>
    <td class="name"><a href=${href("/run", {run: row.run})}>${row.run}</a>
      <span class="labels">${Object.entries(row.labels ?? {}).slice(0, 4).map(([name, value]) => html`<span class="label">${name}: ${value}</span>`)}</span></td>
    <td><${State} state=${row.state} /></td>
    <td class="num" data-name="Steps" title=${exact(row.steps)}>${count(row.steps)}</td>
    <td class="num" data-name="Steps/s">${count(row.sps)}</td>
    <td class="num wide-only" data-name="Episodes/min">${count(row.epm)}</td>
    <td class="num" data-name="Return">${number(row.mean_return)}</td>
    <td class="wide-only"><${Spark} values=${row.spark} label=${`Returns of ${row.run}`} /></td>
    <td class="num wide-only"><${Lost} row=${row} /></td>
    <td class="num" data-name="Newest">${row.newest_ts ? ago(now.value - row.newest_ts / 1000) : "–"}</td>
  </tr>`;
}

/** Steps that are lost: given up by the recorder, or missing in the log. @param {{row: Row}} props */
function Lost({row}) {
  if (!row.dropped && !row.gaps) return html`<span class="muted">0</span>`;
  return html`<span class="warn" title=${`${exact(row.dropped)} dropped by the recorder, ${exact(row.gaps)} gaps`}>${count(row.dropped + row.gaps)}</span>`;
}

/** @param {{channel: import("../lib/channels.js").Channel}} props */
function Totals({channel}) {
  const total = channel.read().get("") ?? {};
  return html`<dl class="totals">
    <div><dt>Running</dt><dd>${exact(total.running)}${total.stalled ? html` <small>${total.stalled} stalled</small>` : null}</dd></div>
    <div><dt>Lost contact</dt><dd class=${total.lost ? "bad" : ""}>${exact(total.lost)}</dd></div>
    <div><dt>Steps/s</dt><dd>${count(total.steps_per_second)}</dd></div>
    <div><dt>Episodes/min</dt><dd>${count(total.episodes_per_minute)}</dd></div>
    <div><dt>Newest step</dt><dd>${total.newest_ts ? ago(now.value - total.newest_ts / 1000) : "–"}</dd></div>
  </dl>`;
}

function NothingYet() {
  return html`<${Empty} title="No run is recorded yet">
    <p>Put three lines around your environment. The page fills as soon as it steps.</p>
    <pre>from runbus.gymnasium import RecordSteps

env = RecordSteps(gymnasium.make("CartPole-v1"), run="first")</pre>
  </${Empty}>`;
}

/**
 * What runs comes first, then what is newest.
 * @param {Row} a
 * @param {Row} b
 */
function byNewest(a, b) {
  const runs = (/** @type {Row} */ row) => (row.state === "running" || row.state === "stalled" ? 1 : 0);
  return runs(b) - runs(a) || b.started_at - a.started_at || (a.run < b.run ? -1 : 1);
}

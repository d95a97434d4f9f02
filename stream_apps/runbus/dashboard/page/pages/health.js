/**
 * The page Health: what is wrong, whether every step is accounted for, who lives, where everybody is in the log.
 */
import {html, useEffect, useMemo, useSignal} from "../lib/preact.js";
import {get} from "../lib/api.js";
import {ago, count, duration, exact, moment} from "../lib/format.js";
import {balances, components, cursors, drops, endedStreams, sign} from "../lib/health.js";
import {expose} from "../lib/inspect.js";
import {follow, now, UNHEARD} from "../lib/live.js";
import {href} from "../lib/route.js";
import {Panel} from "../ui/panel.js";
import {Failed} from "../ui/states.js";

/** @typedef {import("../lib/channels.js").Row} Row */
/** @typedef {import("../lib/live.js").Live} Live */

const MOST_STREAMS = 40;
const ASK_MS = 5000;
/** @type {Record<string, string>} */
const WORDS = {ok: "OK", warn: "WARN", stall: "STALL", stop: "STOP", rewind: "REWIND", ended: "ended"};
/** @type {Record<string, string>} */
const TONES = {ok: "running", warn: "stalled", stall: "stalled", stop: "lost", rewind: "lost", ended: "completed"};

export default function Health() {
  const live = useMemo(() => follow("health"), []);
  useEffect(() => () => live.close(), []);
  if (!live.ready.value) return html`<p class="note">Asking who lives …</p>`;
  return html`
    <h1 class="hidden">Health</h1>
    <${Watch} live=${live} />
    <div class="panels health">
      <${Identity} live=${live} />
      <${Components} live=${live} />
      <${Cursors} live=${live} />
      <${DeadLetters} />
      <${LostRanges} />
      <${Drops} live=${live} />
      <${Inserts} />
      <${Parts} />
    </div>`;
}

/** @param {Live} live @returns {Row | undefined} */
const watchOf = (live) => live.channel("watch").read().get("");
/** @param {Live} live @returns {Row[]} */
const findingsOf = (live) => watchOf(live)?.findings ?? [];

/**
 * How fresh what the server pushes is: grey while it pushes nothing.
 * @param {Live} live
 */
function pushed(live) {
  const why = UNHEARD[live.state.value] ?? "";
  return {newest: live.sentAt.value * 1000, stale: Boolean(why), why};
}

/** @param {{state: string}} props */
function Stands({state}) {
  return html`<span class=${`state ${TONES[state] ?? ""}`}><span class="dot" aria-hidden="true"></span>${WORDS[state] ?? state}</span>`;
}

/** @param {{live: Live}} props */
function Watch({live}) {
  const watch = watchOf(live);
  if (!watch) {
    return html`<p class="verdict warn" role="status">Nobody watches: no watchdog was heard. <span class="muted">Start one: <code>runbus watchdog</code></span></p>`;
  }
  const age = now.value - watch.sent_at / 1000;
  const old = age > 5000;
  const findings = findingsOf(live);
  const said = findings.length ? `${exact(findings.length + watch.more_findings)} ${findings.length === 1 ? "thing is" : "things are"} not as they should be` : "All is well";
  return html`
    <p class=${`verdict ${old ? "muted" : findings.length ? "warn" : "ok"}`} role="status">${said}
      <span class="muted"> says the watchdog${old ? `, ${ago(age)}: it is silent since` : ""}</span></p>
    ${findings.length > 0 && html`<ul class="findings">${findings.map((finding) => html`
      <li key=${finding.subject + finding.what}><${Stands} state=${String(finding.state).toLowerCase()} />
        <span><strong>${finding.subject}</strong> ${finding.text} <span class="muted">for ${duration(finding.since_ms)}</span><br />${finding.todo}</span></li>`)}</ul>`}
    ${watch.canary?.ways?.length > 0 && html`<p class="muted ways">A step of the canary needed
      ${watch.canary.ways.map((/** @type {Row} */ way, /** @type {number} */ at) => html`${at ? ", " : " "}<strong>${way.latency_ms === null ? "–" : duration(way.latency_ms)}</strong> to ${way.way}`)}.</p>`}`;
}

/** @param {{live: Live}} props */
function Identity({live}) {
  const {streams, of, more, trouble} = balances(live.channel("identity").read());
  useEffect(() => expose("identity", () => ({of, more, trouble, streams})));
  const shown = streams.slice(0, MOST_STREAMS);
  const said = of.false ? `${exact(of.false)} ${of.false === 1 ? "stream is" : "streams are"} wrong`
    : of.moving ? `${exact(of.true)} of ${exact(streams.length)} true, the others are being counted` : `all ${exact(streams.length)} true`;
  return html`<${Panel} title="Every step" class="wide" fresh=${pushed(live)}>
    ${streams.length === 0 ? html`<p class="muted">${trouble || "Nothing was recorded within the last ten minutes."}</p>` : html`
    <p class=${of.false ? "bad" : of.moving ? "warn" : "ok"} role="status">${said}${trouble && html` <span class="warn">· ${trouble}</span>`}</p>
    <div class="scroll-x" tabindex="0"><table class="cards balance" aria-label="Produced is stored, dropped, in flight and dead letters">
      <thead><tr><th>Stream</th><th class="num">Produced</th><th><span class="hidden">Sign</span></th><th class="num">Stored</th><th class="num">+ Dropped</th>
        <th class="num">+ In flight</th><th class="num">+ Dead letters</th><th>True at</th></tr></thead>
      <tbody>${shown.map((row) => html`<${Balance} key=${`${row.run}/${row.agent}/${row.attempt}`} row=${row} />`)}</tbody>
    </table></div>
    ${streams.length > shown.length || more ? html`<p class="muted">and ${exact(streams.length - shown.length + more)} more streams: <code>runbus audit</code> compares all</p>` : null}`}
  </${Panel}>`;
}

/** @param {{row: Row}} props */
function Balance({row}) {
  const {sign: between, means, tone} = sign(row);
  return html`<tr>
    <td class="name"><a href=${href("/run", {run: row.run})}>${row.run}</a> <small class="muted">${row.agent}${row.ended ? " · ended" : ""}</small></td>
    <td class="num" data-name="Produced">${exact(row.produced)}</td>
    <td class=${`between ${tone}`} title=${means}><span aria-label=${means}>${between}</span></td>
    <td class="num" data-name="Stored">${exact(row.stored)}</td>
    <td class="num" data-name="Dropped">${exact(row.dropped)}</td>
    <td class="num" data-name="In flight">${exact(row.in_flight)}</td>
    <td class="num" data-name="Dead letters">${exact(row.dead_letters)}</td>
    <td data-name="True at">${row.at === null ? "" : moment(row.at)} ${row.state !== "true" && html`<small class=${tone}>${means}</small>`}</td></tr>`;
}

/** @param {{live: Live}} props */
function Components({live}) {
  const groups = watchOf(live)?.groups ?? [];
  const known = components(live.channel("components").read().values(), {findings: findingsOf(live), groups, ended: endedStreams(live.channel("identity").read())});
  useEffect(() => expose("components", () => known.map(({row, stands, why}) => ({component: row.component, kind: row.kind, stands, why}))));
  return html`<${Panel} title="Who lives" class="wide" fresh=${pushed(live)}>
    <div class="scroll-x" tabindex="0"><table class="cards" aria-label="Processes and recorders">
      <thead><tr><th>Component</th><th>State</th><th class="num">Behind</th><th class="num">Lag</th><th class="num">Events</th><th class="num">Dropped</th><th class="num">Heard</th><th>Says</th></tr></thead>
      <tbody>${known.map(({row, stands, why}) => html`<tr key=${row.component}>
        <td class="name">${row.component} <small class="muted">${row.component.startsWith(row.kind) ? "" : row.kind}</small></td>
        <td><${Stands} state=${stands} /></td>
        <td class="num" data-name="Behind">${exact(row.lag_events)} <small class="muted">records</small></td>
        <td class="num" data-name="Lag">${duration(row.lag_ms)}</td>
        <td class="num wide-only">${count(row.events)}</td>
        <td class=${`num ${row.dropped ? "warn" : ""}`} data-name="Dropped">${exact(row.dropped)}</td>
        <td class="num" data-name="Heard">${ago((row.silent_s ?? 0) * 1000)}</td>
        <td data-name="Says">${why.join("; ")}${row.kind === "recorder" && html`<${Runs} detail=${row.detail} />`}</td></tr>`)}</tbody>
    </table></div>
  </${Panel}>`;
}

/** The runs that a recorder writes. @param {{detail: Row}} props */
function Runs({detail}) {
  const runs = [...new Set(Object.keys(detail?.streams ?? {}).map((name) => name.split("/")[0] ?? ""))];
  return html`<span>${runs.slice(0, 3).map((run) => html` <a href=${href("/run", {run})}>${run}</a>`)}${runs.length > 3 ? ` and ${runs.length - 3} more` : ""}</span>`;
}

/** @param {{live: Live}} props */
function Cursors({live}) {
  const rows = cursors(live.channel("ends").read(), live.channel("components").read().values());
  useEffect(() => expose("cursors", () => rows));
  const behind = (/** @type {number | undefined} */ n) => (n === undefined ? "" : exact(n));
  return html`<${Panel} title="Where everybody is" unit="records behind" class="wide" fresh=${pushed(live)}>
    ${rows.length === 0 ? html`<p class="muted">Kafka does not say where the log ends.</p>` : html`
    <div class="scroll-x" tabindex="0"><table class="cards" aria-label="Position of each consumer in each partition">
      <thead><tr><th>Partition</th><th class="num">End</th><th class="num">Stored up to</th><th class="num">sink</th><th class="num">episodes</th><th class="num">live-metrics</th></tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.place}>
        <td class="name">${row.place}</td>
        <td class="num" data-name="End">${exact(row.end)}</td>
        <td class="num" data-name="Stored up to">${exact(row.stored)}</td>
        <td class="num" data-name="sink">${behind(row.behind.sink)}</td>
        <td class="num" data-name="episodes">${behind(row.behind.episodes)}</td>
        <td class="num" data-name="live-metrics">${behind(row.behind["live-metrics"])}</td></tr>`)}</tbody>
    </table></div>`}
  </${Panel}>`;
}

/** @param {{live: Live}} props */
function Drops({live}) {
  const rows = drops(live.channel("components").read().values());
  useEffect(() => expose("drops", () => rows));
  return html`<${Panel} title="Dropped, by place" unit="since each process began" fresh=${pushed(live)}>
    ${rows.length === 0 ? html`<p class="muted">Nothing was dropped anywhere.</p>` : html`
    <table class="cards" aria-label="What was dropped where"><thead><tr><th>Place</th><th>What</th><th class="num">How many</th></tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.place + row.what}><td class="name">${row.place}</td><td data-name="What">${row.what}</td><td class="num warn" data-name="How many">${exact(row.count)}</td></tr>`)}</tbody></table>`}
  </${Panel}>`;
}

/**
 * An answer of history, asked for again every 5 s while the page is seen; the last one stays while there is no newer.
 * @param {string} path
 */
function useAsked(path) {
  const answer = useSignal(/** @type {any} */ (null));
  const error = useSignal(/** @type {unknown} */ (null));
  useEffect(() => {
    const abort = new AbortController();
    let timer = 0;
    const ask = async () => {
      if (!document.hidden) {
        try {
          answer.value = await get(path, {}, abort.signal);
          error.value = null;
        } catch (failed) {
          if (abort.signal.aborted) return;
          error.value = failed;
        }
      }
      timer = window.setTimeout(ask, ASK_MS);
    };
    ask();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [path]);
  return {answer: answer.value, error: error.value};
}

/**
 * A panel of history: its rows, or why there are none.
 * @param {{title: string, unit?: string, path: string, empty: string, class?: string, draw: (columns: Record<string, any[]>, rows: number) => any}} props
 */
function Asked({title, unit, path, empty, draw, ...rest}) {
  const {answer, error} = useAsked(path);
  const fresh = {askedAt: answer?.fresh.asked_at, newest: answer?.fresh.asked_at, stale: error !== null, why: error === null ? "" : "ClickHouse does not answer"};
  useEffect(() => expose(path, () => answer));
  return html`<${Panel} title=${title} unit=${unit} fresh=${answer ? fresh : undefined} source=${{path, params: {}}} class=${rest.class ?? ""}>
    ${answer ? (answer.rows ? draw(answer.columns, answer.rows) : html`<p class="muted">${empty}</p>`)
      : error ? html`<${Failed} error=${error} />` : html`<p class="muted">Asking ClickHouse …</p>`}
  </${Panel}>`;
}

function DeadLetters() {
  return html`<${Asked} title="Dead letters" path="/health/dead_letters" empty="There are none." class="wide" draw=${(/** @type {Record<string, any[]>} */ c, /** @type {number} */ rows) => html`
    <div class="scroll-x" tabindex="0"><table class="cards" aria-label="Dead letters by kind">
      <thead><tr><th>About</th><th>From</th><th class="num">Records</th><th class="num">Steps</th><th class="num">Newest</th><th>The newest says</th></tr></thead>
      <tbody>${Array.from({length: rows}, (_, at) => html`<tr key=${`${c.topic?.[at]}${c.component?.[at]}${c.kind?.[at]}`}>
        <td class="name">${c.topic?.[at]}</td><td data-name="From">${c.component?.[at]}</td>
        <td class="num warn" data-name="Records">${exact(c.records?.[at])}</td><td class="num" data-name="Steps">${exact(c.steps?.[at])}</td>
        <td class="num" data-name="Newest">${ago(now.value - c.newest?.[at] / 1000)}</td>
        <td data-name="Says">${c.error?.[at]} <small class="muted">partition ${c.partition?.[at]}, offset ${c.offset?.[at]}, ${exact(c.bytes?.[at])} bytes.
          <code>runbus dlq show ${c.key?.[at]}</code></small>
          ${c.run?.[at] && html` <a href=${href("/run", {run: c.run[at]})}>${c.run[at]}</a>`}</td></tr>`)}</tbody></table></div>`} />`;
}

function LostRanges() {
  return html`<${Asked} title="Gone before it was stored" path="/health/lost" empty="Retention deleted nothing that was not stored." draw=${(/** @type {Record<string, any[]>} */ c, /** @type {number} */ rows) => html`
    <div class="scroll-x" tabindex="0"><table class="cards" aria-label="Offsets that were deleted before they were stored">
      <thead><tr><th>Partition</th><th class="num">From offset</th><th class="num">To offset</th><th class="num">Noticed</th><th>Why</th></tr></thead>
      <tbody>${Array.from({length: rows}, (_, at) => html`<tr key=${`${c.topic?.[at]}${c.partition?.[at]}${c.first_offset?.[at]}`}>
        <td class="name">${c.topic?.[at]}:${c.partition?.[at]}</td><td class="num bad" data-name="From offset">${exact(c.first_offset?.[at])}</td>
        <td class="num bad" data-name="To offset">${exact(c.last_offset?.[at])}</td><td class="num" data-name="Noticed">${ago(now.value - c.detected_at?.[at] / 1000)}</td>
        <td data-name="Why">${c.reason?.[at]}</td></tr>`)}</tbody></table></div>`} />`;
}

function Inserts() {
  return html`<${Asked} title="Inserts" unit="of the last hour" path="/health/inserts" empty="No sink was heard within the last hour." draw=${(/** @type {Record<string, any[]>} */ c, /** @type {number} */ rows) => {
    const newest = Array.from({length: rows}, (_, at) => rows - 1 - at).filter((at) => c.inserts?.[at] > 0).slice(0, 10);
    const all = c.inserts?.reduce((sum, n) => sum + n, 0) ?? 0;
    const took = c.seconds?.reduce((sum, n) => sum + n, 0) ?? 0;
    return html`<p>${exact(all)} inserts, ${all ? duration((took / all) * 1000) : "–"} each</p>
      <div class="scroll-x" tabindex="0"><table aria-label="Inserts by minute"><thead><tr><th>Minute</th><th class="num">Inserts</th><th class="num">One took</th><th class="num">Lag</th></tr></thead>
      <tbody>${newest.map((at) => html`<tr key=${c.minute?.[at]}><td>${moment(c.minute?.[at])}</td><td class="num">${exact(c.inserts?.[at])}</td>
        <td class="num">${duration(c.mean?.[at] * 1000)}</td><td class="num">${duration(c.lag_ms?.[at])}</td></tr>`)}</tbody></table></div>`;
  }} />`;
}

function Parts() {
  return html`<${Asked} title="Parts in ClickHouse" path="/health/parts" empty="ClickHouse shows this user no parts: GRANT SELECT ON system.parts to it." draw=${(/** @type {Record<string, any[]>} */ c, /** @type {number} */ rows) => html`
    <div class="scroll-x" tabindex="0"><table aria-label="Parts of each table"><thead><tr><th>Table</th><th class="num">Parts</th><th class="num">Most in a partition</th><th class="num">Rows</th><th class="num">MB</th></tr></thead>
      <tbody>${Array.from({length: rows}, (_, at) => html`<tr key=${c.table?.[at]}><td>${c.table?.[at]}</td><td class="num">${exact(c.parts?.[at])}</td>
        <td class=${`num ${c.most_in_partition?.[at] > 300 ? "warn" : ""}`}>${exact(c.most_in_partition?.[at])}</td><td class="num">${count(c.rows?.[at])}</td>
        <td class="num">${count(c.bytes?.[at] / 1e6)}</td></tr>`)}</tbody></table></div>`} />`;
}

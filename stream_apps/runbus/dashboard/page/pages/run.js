/**
 * The page Run: what one run does now and did before, as curves, tables and marks over one x axis.
 */
import {html, useComputed, useEffect, useMemo, useSignal} from "../lib/preact.js";
import {ApiError} from "../lib/api.js";
import {Axis, KINDS} from "../lib/axis.js";
import {RecentEpisodes} from "../lib/curves.js";
import {ago, count, duration, exact, moment} from "../lib/format.js";
import {expose} from "../lib/inspect.js";
import {useKeys} from "../lib/keys.js";
import {follow, now} from "../lib/live.js";
import {joined, parted} from "../lib/names.js";
import {href, route, set} from "../lib/route.js";
import {nice} from "../lib/stats.js";
import {rowsOf, useAnswer} from "../ui/answer.js";
import {useChartKeys} from "../ui/chart.js";
import {CurvePanel} from "../ui/curve.js";
import {Later} from "../ui/later.js";
import {page, say} from "../ui/shell.js";
import {State} from "../ui/state.js";
import {Failed, Problem} from "../ui/states.js";

/** @typedef {import("../lib/channels.js").Row} Row */

/** What stands below the charts. */
const parts = async () => (await import("../ui/run-parts.js")).Parts;
const about = async () => (await import("../ui/run-about.js")).About;
const KEPT_MS = 5000;
/** More agents than this are one line, with their spread, unless the address says otherwise. */
const MOST_LINES = 8;
/** There are no more colours and dashes than for so many. */
const MOST_LOOKS = 32;

/** Another run is another page: nothing of one is kept for the other. */
export default function Run() {
  const run = route.value.params.get("run") ?? "";
  if (!run) return html`<${Problem} title="Which run?" todo="Open one from the list."><a href="/">All runs</a></${Problem}>`;
  const speed = Number(route.value.params.get("replay"));
  if (speed > 0) return html`<${Later} key=${`replay of ${run}`} load=${() => import("../ui/replayed.js").then((module) => module.Replayed)} run=${run} />`;
  return html`<${Known} key=${run} run=${run} />`;
}

/** @param {{run: string}} props */
function Known({run}) {
  const live = useMemo(() => follow("run", {run}), []);
  const recent = useMemo(() => new RecentEpisodes(live), []);
  useEffect(() => () => {
    recent.stop();
    live.close();
  }, []);
  const everybody = useComputed(() => [...live.channel("streams").read().values()].sort(byName));
  const streams = useComputed(() => agentsOf(everybody.value));
  const told = useAnswer("/run", {run}, KEPT_MS);
  useEffect(() => expose("run", () => ({run, streams: streams.value, told: told.answer.value})), []);
  const error = told.error.value;
  if (error instanceof ApiError && error.status === 404 && !streams.value.length) {
    if (!live.ready.value) return html`<p class="note">Looking for ${run} …</p>`;
    return html`<${Failed} error=${error} link=${(/** @type {string} */ name) => href("/run", {run: name})} /><p class="note"><a href="/">All runs</a></p>`;
  }
  if (!told.answer.value && !error && !streams.value.length) return html`<p class="note">Asking for ${run} …</p>`;
  return html`
    <${Header} run=${run} streams=${streams.value} told=${told.answer.value} />
    ${error && !(error instanceof ApiError && error.status === 404) ? html`<p class="warn" role="status">History does not answer: ${error.message} What comes live is shown.</p>` : null}
    <${Body} run=${run} live=${live} recent=${recent} streams=${streams} everybody=${everybody} told=${told.answer} away=${Boolean(error)} />`;
}

/** Return the streams of agents, without those of metrics alone, unless there are no others. @param {Row[]} rows */
function agentsOf(rows) {
  const agents = rows.filter((row) => !row.role);
  return agents.length ? agents : rows;
}

/** @param {Row} a @param {Row} b */
const byName = (a, b) => (a.agent === b.agent ? a.attempt - b.attempt : a.agent < b.agent ? -1 : 1);

/** @param {{run: string, streams: Row[], told: any}} props */
function Header({run, streams, told}) {
  const known = told?.run ?? {}, rows = agentsOf(rowsOf(told));
  const newest = Math.max(0, ...streams.map((row) => row.newest_ts ?? 0), ...rows.map((row) => row.newest_ts ?? 0));
  const sum = (/** @type {string} */ name) => (streams.length ? streams : rows).reduce((all, row) => all + (row[name] ?? 0), 0);
  const state = streams.length ? stateOf(streams) : known.outcome === "running" ? "" : known.outcome;
  const began = known.started_at ?? Math.min(...streams.map((row) => row.started_at));
  const ended = known.finished_at ?? null;
  const steps = streams.length ? sum("steps") : sum("stored");
  const agents = new Set([...streams, ...rows].map((row) => row.agent)).size, attempts = Math.max(streams.length, rows.length);
  const failed = state === "failed" ? [...streams, ...rows].findLast((row) => row.error)?.error : "";
  return html`<header class="run-head">
    <div><h1>${run}</h1>${state && html`<${State} state=${state} />`}
      <a class="button" href=${href("/run", {run, replay: 10})} title="Play the run again, from its beginning">Replay</a>
      <span class="labels">${Object.entries(known.labels ?? {}).map(([name, value]) => html`<span class="label">${name}: ${value}</span>`)}
        ${(known.tags ?? []).map((/** @type {string} */ tag) => html`<span class="label">${tag}</span>`)}</span></div>
    ${failed && html`<p class="bad">${failed}</p>`}
    <dl class="facts">
      <div><dt>Steps</dt><dd title=${exact(steps)}>${count(steps)}</dd></div>
      <div><dt>Steps/s</dt><dd>${count(sum("sps"))}</dd></div>
      <div><dt>Episodes</dt><dd>${count(sum("episodes"))}</dd></div>
      <div><dt>Agents</dt><dd>${agents}${attempts > agents ? html` <span class="unit">in ${attempts} attempts</span>` : null}</dd></div>
      <div><dt>Dropped</dt><dd class=${sum("dropped") ? "warn" : ""}>${count(sum("dropped"))} <span class="unit">steps</span></dd></div>
      <div><dt>Started</dt><dd>${began ? moment(began) : "–"}</dd></div>
      <div><dt>${ended ? "Took" : "For"}</dt><dd>${began ? duration(((ended ?? now.value * 1000) - began) / 1000) : "–"}</dd></div>
      <div><dt>Newest step</dt><dd>${newest ? ago(now.value - newest / 1000) : "–"}</dd></div>
      <${Audit} rows=${rows} />
    </dl>
    ${rows.length > 0 && html`<${Later} load=${about} rows=${rows} />`}
  </header>`;
}

/** The first of these that a newest stream is in is the state of the run: alive while one of them lives. */
const FIRST = ["running", "stalled", "lost", "failed", "interrupted", "completed"];

/** @param {Row[]} streams @returns {string} the state of their run */
function stateOf(streams) {
  const newest = new Map(streams.map((row) => [row.agent, row])); // in order of attempts
  const states = new Set([...newest.values()].map((row) => row.state));
  return FIRST.find((state) => states.has(state)) ?? "";
}

/**
 * Whether every step is accounted for, once all streams have said how many they produced; while they run, Health says it
 * moment by moment.
 * @param {{rows: Row[]}} props
 */
function Audit({rows}) {
  if (!rows.length || rows.some((row) => !row.outcome)) return html`<div><dt>Audit</dt><dd><a href="/health">live</a></dd></div>`;
  const sum = (/** @type {string} */ name) => rows.reduce((all, row) => all + row[name], 0);
  const left = sum("produced") - sum("stored") - sum("dropped");
  const said = left === 0 ? "= every step is stored" : left > 0 ? `… ${exact(left)} steps are not stored` : `≠ ${exact(-left)} steps too many`;
  return html`<div title=${`produced ${exact(sum("produced"))} = stored ${exact(sum("stored"))} + dropped ${exact(sum("dropped"))}${left ? ` + ${exact(left)}` : ""}`}>
    <dt>Audit</dt><dd class=${left === 0 ? "ok" : left > 0 ? "warn" : "bad"}>${sum("dropped") && left === 0 ? "= every step is stored, or counted as dropped" : said}</dd></div>`;
}

/**
 * @param {{run: string, live: import("../lib/live.js").Live, recent: RecentEpisodes, away: boolean,
 *   streams: import("../vendor/signals-core.js").ReadonlySignal<Row[]>, everybody: import("../vendor/signals-core.js").ReadonlySignal<Row[]>, told: import("../vendor/signals-core.js").Signal<any>}} props
 */
function Body({run, live, recent, streams, everybody, told, away}) {
  const params = route.value.params;
  const kind = /** @type {import("../lib/axis.js").Kind} */ (Object.keys(KINDS).find((known) => known === params.get("x")) ?? "seq");
  const axis = useMemo(() => new Axis(kind), [kind]);
  const names = useSignal(/** @type {string[]} */ ([]));
  const rows = rowsOf(told.value), agents = [...new Set([...streams.value, ...agentsOf(rows)].map((row) => row.agent))].sort();
  const by = /** @type {import("../lib/curve.js").By} */ (["run", "agent", "stream"].find((known) => known === params.get("by")) ?? (agents.length > MOST_LINES ? "run" : "agent"));
  const until = params.has("until") ? Number(params.get("until")) : undefined;
  const smooth = smoothOf(params.get("smooth"), axis);
  const shown = chosen(params.get("show"), names.value);
  const alive = ["running", "stalled", "lost"].includes(stateOf(streams.value));
  const what = {run, kind, alive, agents: agents.length > MOST_LOOKS ? [] : agents, by, agent: params.get("agent") ?? "", until, all: agents.length === 1 ? agents[0] : `all ${agents.length} agents`};
  const frozen = () => set({until: axis.shown.peek()[1], range: axis.shown.peek().join("..")});
  useChartKeys(axis);
  // asked of the address, not of the last drawing: a key may be quicker than the page
  const has = (/** @type {string} */ name) => route.peek().params.has(name);
  useKeys({follow: () => (has("until") || has("range") ? set({until: null, range: null}) : frozen())});
  useEffect(() => {
    page.link = () => (has("until") || live.isReplay ? location.href : frozenLink(axis));
    return () => (page.link = () => location.href);
  }, [axis, live]);
  const common = {axis, recent, what, smooth, live, away};
  return html`
    <${Tools} axis=${axis} by=${by} until=${until} agents=${agents} names=${names.value} shown=${shown} freeze=${frozen} />
    <div class="panels">
      <${CurvePanel} ...${common} y="return" title="Return" unit="per episode" />
      <${CurvePanel} ...${common} y="length" title="Length" unit="steps per episode" />
      <${CurvePanel} ...${common} y="steps_per_second" title="Steps per second" unit="steps/s" />
      ${shown.map((name) => html`<${CurvePanel} key=${name} ...${common} y=${name} title=${name} unit="logged" />`)}
      <${Later} load=${parts} run=${run} alive=${alive} agent=${what.agent} axis=${axis} recent=${recent} streams=${everybody.value}
        told=${rows} onNames=${(/** @type {string[]} */ found) => (names.value = found)} />
    </div>`;
}

/** The address of what is seen, without what comes later. @param {Axis} axis */
function frozenLink(axis) {
  const address = new URL(location.href), [from, to] = axis.shown.peek();
  address.searchParams.set("until", String(to));
  address.searchParams.set("range", `${from}..${to}`);
  return address.href;
}

/**
 * Which logged numbers have a panel: those of the address, else the first two.
 * @param {string | null} text
 * @param {string[]} names
 */
const chosen = (text, names) => (text === null ? names.slice(0, 2) : parted(text));

/**
 * Read how lines are smoothed: `ema:2000` (half life in x) or `median:21` (values).
 * @param {string | null} text
 * @param {Axis} axis
 * @returns {import("../ui/chart.js").Smooth}
 */
function smoothOf(text, axis) {
  const [kind, given] = (text ?? "").split(":"), size = Number(given);
  if (kind === "median") return {kind, size: Math.max(1, Math.round(size) || 21)};
  if (kind !== "ema") return null;
  const [first, last] = axis.whole.value;
  return {kind, size: size > 0 ? size : nice(Math.max(1e-9, last - first) / 100)};
}

/**
 * @param {{axis: Axis, by: string, until?: number, agents: string[], names: string[], shown: string[], freeze: () => void}} props
 */
function Tools({axis, by, until, agents, names, shown, freeze}) {
  const params = route.value.params, zoomed = axis.range.value !== null;
  const smooth = params.get("smooth")?.split(":")[0] ?? "";
  const choose = (/** @type {string} */ name) => (/** @type {any} */ event) => set({[name]: event.currentTarget.value});
  const toggle = (/** @type {string} */ name) => set({show: joined(shown.includes(name) ? shown.filter((one) => one !== name) : [...shown, name])});
  return html`<div class="tools" role="toolbar" aria-label="What the charts show">
    <label>x <select value=${axis.kind} onChange=${(/** @type {any} */ event) => set({x: event.currentTarget.value, range: null, until: null})}>
      ${Object.entries(KINDS).map(([kind, label]) => html`<option value=${kind}>${label}</option>`)}</select></label>
    <label>lines <select value=${by} onChange=${choose("by")}>
      <option value="run">all together</option><option value="agent">one an agent</option><option value="stream">one an attempt</option></select></label>
    ${agents.length > 1 ? html`<label>agent <select value=${params.get("agent") ?? ""} onChange=${choose("agent")}>
      <option value="">all</option>${agents.slice(0, 500).map((agent) => html`<option value=${agent}>${agent}</option>`)}</select></label>` : null}
    <label>smooth <select value=${smooth} onChange=${choose("smooth")}>
      <option value="">no</option><option value="ema">moving average by x</option><option value="median">running median of 21</option></select></label>
    ${names.length > 0 && html`<details class="take"><summary>logged ${shown.length} of ${names.length}</summary><div class="menu">
      ${names.map((name) => html`<label><input type="checkbox" checked=${shown.includes(name)} onChange=${() => toggle(name)} /> ${name}</label>`)}</div></details>`}
    <span class="grow"></span>
    <span><button type="button" onClick=${() => axis.scale(0.5)} aria-label="Zoom in">+</button>
      <button type="button" onClick=${() => axis.scale(2)} disabled=${!zoomed} aria-label="Zoom out">−</button>
      <button type="button" onClick=${() => axis.undo()} disabled=${!zoomed} title="u">Undo zoom</button></span>
    ${until === undefined
      ? html`<button type="button" aria-pressed="true" title=". freezes" onClick=${freeze}>Following</button>`
      : html`<span class="frozen">frozen at ${axis.text(until)}</span><button type="button" title="." onClick=${() => {
        set({until: null, range: null});
        say("Following what happens now");
      }}>Follow</button>`}
  </div>`;
}

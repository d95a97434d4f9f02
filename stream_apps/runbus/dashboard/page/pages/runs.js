/**
 * The page Runs: what all runs do now, and each run in a row. Filter, groups, order and baseline are in the address; pins
 * and tags are what people put on a run, for everybody who looks.
 */
import {html, useComputed, useEffect, useMemo, useRef, useSignal, useSignalEffect} from "../lib/preact.js";
import {put, take} from "../lib/annotate.js";
import {ago, count, exact, number} from "../lib/format.js";
import {expose} from "../lib/inspect.js";
import {useKeys} from "../lib/keys.js";
import {follow, now, UNHEARD} from "../lib/live.js";
import {lightOf} from "../lib/light.js";
import {Means} from "../lib/means.js";
import {go, href, route, set} from "../lib/route.js";
import {arrange, groupable, nextSort} from "../lib/runlist.js";
import {session} from "../lib/session.js";
import {clamp, showing, turned} from "../lib/window.js";
import {Empty} from "../ui/states.js";
import {Take} from "../ui/panel.js";
import {say} from "../ui/shell.js";
import {State} from "../ui/state.js";
import {Spark} from "../ui/spark.js";
import {Pager, Thumb} from "../ui/window.js";
import {Views} from "../ui/views.js";

/** @typedef {import("../lib/channels.js").Row} Row */
/** @typedef {import("../lib/runlist.js").Item} Item */

/** Rows that are drawn at once at most: more than a screen has. A list that is no longer has no window. */
const MOST_ROWS = 60;
const LEAST_ROWS = 8;
const ROW_PX = 36;
/** Rows change places at most so often, though their numbers move with each frame: a list that jumps cannot be read. */
const ORDER_MS = 1000;
/** Stands between names of runs in the address: no name may have it. */
const BETWEEN = "/";

/** @type {{name: string, field: string, class: string, title?: string}[]} */
const COLUMNS = [
  {name: "Run", field: "run", class: ""},
  {name: "State", field: "state", class: ""},
  {name: "Steps", field: "steps", class: "num"},
  {name: "Steps/s", field: "sps", class: "num"},
  {name: "Episodes/min", field: "epm", class: "num"},
  {name: "Mean return", field: "mean_return", class: "num", title: "of its newest 256 episodes"},
  {name: "Returns", field: "", class: "", title: "Mean returns of its newest episodes, the oldest first"},
  {name: "Lost", field: "dropped", class: "num", title: "Steps that the recorder dropped, and that are missing in the log"},
  {name: "Newest", field: "newest_ts", class: "num", title: "Age of its newest step"},
];

/** Columns that history can sort by too. */
const STORED = new Set(["run", "state", "steps", "mean_return", "dropped"]);
const MOST_TAKEN = 1000;

/** @param {string} name of a parameter that holds names of runs */
const named = (name) => (route.value.params.get(name) ?? "").split(BETWEEN).filter(Boolean);

export default function Runs() {
  const live = useMemo(() => follow("runs"), []);
  useEffect(() => () => live.close(), []);
  const shut = useSignal(/** @type {Set<string>} */ (new Set()));
  const means = useMemo(() => new Means(), []);
  useEffect(() => () => means.close(), []);
  const told = useOrderly(live.channel("runs"));
  const rows = useComputed(() => means.filled(told.value));
  const view = useComputed(() => {
    const {params} = route.value;
    const text = (/** @type {string} */ name) => params.get(name) ?? "";
    return {q: text("q"), group: text("group"), sort: text("sort"), pins: named("pin"), shut: shut.value};
  });
  const list = useComputed(() => arrange(rows.value, view.value));
  useEffect(() => expose("runs", () => ({kept: list.value.kept, items: list.value.items.length, wrong: list.value.wrong})), []);
  if (!live.ready.value) return html`<p class="note">Asking for the runs …</p>`;
  if (!rows.value.length) return html`<${NothingYet} />`;
  return html`
    <h1 class="hidden">Runs</h1>
    <${Totals} channel=${live.channel("totals")} light=${live.channel("light")} />
    <${Tools} rows=${rows.value} list=${list.value} />
    <${List} live=${live} means=${means} items=${list.value.items} shut=${shut} />`;
}

/**
 * The rows, at most every ORDER_MS anew unless there are more or fewer of them.
 * @param {import("../lib/channels.js").Channel} channel
 */
function useOrderly(channel) {
  const rows = useSignal(/** @type {Row[]} */ ([]));
  const waiting = useRef(0);
  useSignalEffect(() => {
    const found = channel.read();
    const take = () => {
      waiting.current = 0;
      rows.value = [...found.values()];
    };
    if (found.size !== rows.peek().length) take();
    else if (!waiting.current) waiting.current = window.setTimeout(take, ORDER_MS);
  });
  useEffect(() => () => clearTimeout(waiting.current), []);
  return rows;
}

/** @param {{rows: Row[], list: import("../lib/runlist.js").Arranged}} props */
function Tools({rows, list}) {
  const {params} = route.value;
  const fields = useMemo(() => groupable(rows), [rows.length]);
  const change = (/** @type {string} */ name) => (/** @type {any} */ event) => set({[name]: event.currentTarget.value}, {replace: name === "q"});
  return html`<div class="runs-tools">
      <input id="filter" type="search" placeholder="Filter: walk state:failed lr>=1e-4 -tag:old /seed-[0-3]$/" aria-label="Filter runs"
        aria-describedby="filter-said" aria-invalid=${list.wrong ? "true" : null} spellcheck=${false} autocomplete="off" value=${params.get("q") ?? ""} onInput=${change("q")} />
      <label>Group by <select value=${params.get("group") ?? ""} onChange=${change("group")}>
        <option value="">nothing</option>${fields.map((name) => html`<option value=${name}>${name.slice(0, 60)}</option>`)}</select></label>
      <${Views} />
      <${Take} source=${sourceOf(params)} title="Runs" />
    </div>
    <p id="filter-said" class="said-of" role="status">${saidOf(list, rows.length)}</p>`;
}

/** The list as ClickHouse has it: of all runs, those too that the log has no longer. @param {URLSearchParams} params */
function sourceOf(params) {
  const sort = params.get("sort") ?? "", field = sort.replace(/^-/, "");
  const order = STORED.has(field) ? {sort: field, descending: String(sort.startsWith("-"))} : {};
  return {path: "/runs", params: {q: params.get("q"), most: MOST_TAKEN, ...order}};
}

/**
 * @param {import("../lib/runlist.js").Arranged} list
 * @param {number} all
 */
function saidOf({wrong, kept, emptying}, all) {
  if (wrong) return html`<span class="bad">${wrong.clause}: ${wrong.why}</span>`;
  if (!kept && emptying) return html`No run has <code>${emptying}</code>. <a href=${href("/", {})}>Show all ${exact(all)}</a>`;
  if (!kept) return html`No run has all of this. <a href=${href("/", {})}>Show all ${exact(all)}</a>`;
  return route.value.params.get("q") ? `${exact(kept)} of ${exact(all)} runs` : `${exact(all)} runs`;
}

/** @param {{live: import("../lib/live.js").Live, means: Means, items: Item[], shut: import("../vendor/signals-core.js").Signal<Set<string>>}} props */
function List({live, means, items, shut}) {
  const at = useSignal(0);
  const top = useSignal(0);
  const chosen = useSignal(/** @type {string[]} */ ([]));
  const turn = useRef({left: 0});
  const size = items.length <= MOST_ROWS ? items.length : Math.max(LEAST_ROWS, Math.min(MOST_ROWS, Math.floor((innerHeight - 270) / ROW_PX)));
  const first = clamp(top.value, size, items.length);
  const here = Math.min(at.value, items.length - 1);
  // what a key does follows from the signals, not from what is drawn: the next key can come before the next frame
  const item = () => items[Math.min(at.peek(), items.length - 1)];
  const row = () => /** @type {any} */ (item())?.row;
  const move = (/** @type {number} */ by) => {
    at.value = Math.max(0, Math.min(items.length - 1, Math.min(at.peek(), items.length - 1) + by));
    top.value = showing(clamp(top.peek(), size, items.length), at.peek(), size, items.length);
  };
  const toggle = (/** @type {string} */ name) => (chosen.value = chosen.value.includes(name) ? chosen.value.filter((one) => one !== name) : [...chosen.value, name]);
  const onRow = (/** @type {(name: string) => void} */ does) => () => row() && does(row().run);
  useKeys({
    down: () => move(1),
    up: () => move(-1),
    open: () => (row() ? go("/run", {run: row().run}) : item() && flip(shut, /** @type {any} */ (item()).group)),
    filter: () => document.getElementById("filter")?.focus(),
    select: onRow(toggle),
    pin: () => row() && pin(row()),
    baseline: onRow(toBaseline),
    compare: () => chosen.value.length > 0 && compare(chosen.value),
  });
  const wheel = (/** @type {WheelEvent} */ event) => {
    const from = clamp(top.peek(), size, items.length);
    const to = clamp(from + turned(turn.current, event.deltaY, ROW_PX), size, items.length);
    if (items.length <= size || (to === from && Math.abs(event.deltaY) >= ROW_PX)) return;
    event.preventDefault();
    top.value = to;
  };
  const slide = (/** @type {number} */ to) => (top.value = to);
  const rows = live.channel("runs").read(), known = rows.get(route.value.params.get("base") ?? "");
  const base = known && means.of(known);
  const shown = items.slice(first, first + size);
  const sort = route.value.params.get("sort") ?? "";
  useEffect(() => means.want([...(base ? [base] : []), ...shown.flatMap((item) => ("row" in item ? [item.row] : []))]));
  useEffect(() => {
    if (/^-?mean_return$/.test(sort)) void means.first(sort.startsWith("-"));
  }, [sort]);
  useEffect(() => expose("window", () => ({first, size, at: here, chosen: chosen.value})));
  return html`
    ${chosen.value.length > 0 && html`<p class="chosen"><button type="button" onClick=${() => compare(chosen.value)}>Compare ${chosen.value.length} ${chosen.value.length === 1 ? "run" : "runs"}</button>
      <button type="button" class="quiet" onClick=${() => (chosen.value = [])}>Select none</button></p>`}
    <section class=${`panel ${live.state.value in UNHEARD ? "stale" : ""}`} aria-label="Runs"><div class="body list" onWheel=${wheel}>
      <div class="scroll-x">
      <table class="runs cards" aria-label="Runs" aria-rowcount=${items.length + 1}>
        <thead><tr aria-rowindex="1"><th class="pick"><span class="hidden">Select, pin, baseline</span></th>${COLUMNS.map((column) => html`<${Head} ...${column} />`)}</tr></thead>
        <tbody>${shown.map((item, index) => {
          const place = {index: first + index, cursor: first + index === here};
          if ("group" in item) return html`<${GroupRow} key=${`group ${item.group}`} item=${item} shut=${shut} ...${place} />`;
          const {run} = item.row;
          return html`<${RunRow} key=${run} row=${means.of(rows.get(run) ?? item.row)} pinned=${item.pinned} base=${base} chosen=${chosen.value.includes(run)} onChoose=${toggle} ...${place} />`;
        })}</tbody>
      </table></div>
      <${Thumb} top=${first} size=${size} count=${items.length} onMove=${slide} />
    </div><${Pager} top=${first} size=${size} count=${items.length} onMove=${slide} /></section>`;
}

/** @param {{name: string, field: string, class: string, title?: string}} props */
function Head({name, field, title, ...rest}) {
  const sort = route.value.params.get("sort") ?? "";
  const now = sort === field ? "ascending" : sort === `-${field}` ? "descending" : null;
  if (!field) return html`<th class=${rest.class} title=${title}>${name}</th>`;
  return html`<th class=${rest.class} aria-sort=${now} title=${title}><button type="button" class="sort" onClick=${() => set({sort: nextSort(sort, field)})}>
    ${name}<span aria-hidden="true">${now === "ascending" ? " ↑" : now ? " ↓" : ""}</span></button></th>`;
}

/**
 * @param {{item: import("../lib/runlist.js").GroupItem, shut: import("../vendor/signals-core.js").Signal<Set<string>>, index: number, cursor: boolean}} props
 */
function GroupRow({item, shut, index, cursor}) {
  const {returns} = item;
  return html`<tr class=${`group ${cursor ? "cursor" : ""}`} aria-rowindex=${index + 2}>
    <td class="pick"></td>
    <th scope="rowgroup" colspan="2" class="name"><button type="button" class="sort" aria-expanded=${String(!item.shut)} onClick=${() => flip(shut, item.group)}>
      <span aria-hidden="true">${item.shut ? "▸" : "▾"}</span> ${route.value.params.get("group")}: ${item.group}</button>
      <span class="muted"> ${exact(item.runs)} ${item.runs === 1 ? "run" : "runs"}${item.running ? `, ${exact(item.running)} running` : ""}</span></th>
    <td class="num" data-name="Steps">${count(item.steps)}</td><td class="wide-only"></td><td class="wide-only"></td>
    <td class="num" data-name="Mean return">${number(returns?.mean)}</td>
    <td colspan="3" class="muted wide-only">${returns && `${number(returns.low)} to ${number(returns.high)} over ${exact(returns.runs)}`}</td></tr>`;
}

/** @param {{row: Row, pinned: boolean, base: Row | undefined, chosen: boolean, onChoose: (run: string) => void, index: number, cursor: boolean}} props */
function RunRow({row, pinned, base, chosen, onChoose, index, cursor}) {
  const isBase = base?.run === row.run;
  return html`<tr class=${`${cursor ? "cursor" : ""} ${pinned ? "pinned" : ""} ${isBase ? "base" : ""}`} aria-rowindex=${index + 2} aria-selected=${String(chosen)}>
    <td class="pick"><input type="checkbox" aria-label=${`Select ${row.run}`} checked=${chosen} onChange=${() => onChoose(row.run)} />
      <button type="button" class="mark" aria-label=${`Pin ${row.run}`} aria-pressed=${String(pinned)} title="Keep it on top (p)" onClick=${() => pin(row)}>${pinned ? "★" : "☆"}</button>
      <button type="button" class="mark" aria-label=${`Compare all with ${row.run}`} aria-pressed=${String(isBase)} title="Show how far all others are from it (b)" onClick=${() => toBaseline(row.run)}>Δ</button></td>
    <td class="name" title=${row.run}><a href=${href("/run", {run: row.run})}>${row.run}</a>
      <span class="labels">${Object.entries(row.labels ?? {}).slice(0, 4).map(([name, value]) => html`<span class="label">${name}: ${value}</span>`)}
        ${(row.tags ?? []).slice(0, 4).map((/** @type {string} */ tag) => html`<span class="label tag">${tag}</span>`)}</span></td>
    <td><${State} state=${row.state} /></td>
    <td class="num" data-name="Steps" title=${exact(row.steps)}>${count(row.steps)}</td>
    <td class="num" data-name="Steps/s">${count(row.sps)}</td>
    <td class="num wide-only" data-name="Episodes/min">${count(row.epm)}</td>
    <td class="num" data-name="Mean return">${number(row.mean_return)}<${Delta} row=${row} base=${base} /></td>
    <td class="wide-only"><${Spark} values=${row.spark} label=${`Returns of ${row.run}`} /></td>
    <td class="num wide-only" data-name="Lost"><${Lost} row=${row} /></td>
    <td class="num" data-name="Newest">${newest(row) ? ago(now.value - newest(row) / 1000) : "–"}</td>
  </tr>`;
}

/** When its newest step was; of a run that ended before the log's memory of steps, when it ended. @param {Row} row */
const newest = (row) => row.newest_ts ?? row.finished_at ?? 0;

/** How far the mean return is from the baseline's. @param {{row: Row, base: Row | undefined}} props */
function Delta({row, base}) {
  if (!base) return null;
  if (base.run === row.run) return html`<small> baseline</small>`;
  if (typeof row.mean_return !== "number" || typeof base.mean_return !== "number") return null;
  const far = row.mean_return - base.mean_return;
  return html`<small> ${far > 0 ? "+" : ""}${number(far)}</small>`;
}

/** Steps that are lost: given up by the recorder, or missing in the log. @param {{row: Row}} props */
function Lost({row}) {
  if (!row.dropped && !row.gaps) return html`<span class="muted">0</span>`;
  return html`<span class="warn" title=${`${exact(row.dropped)} dropped by the recorder, ${exact(row.gaps)} missing in the log`}>${count(row.dropped + row.gaps)}</span>`;
}

/** @param {{channel: import("../lib/channels.js").Channel, light: import("../lib/channels.js").Channel}} props */
function Totals({channel, light}) {
  const total = channel.read().get("") ?? {};
  return html`<dl class="totals">
    <div><dt>Running</dt><dd>${exact(total.running)}${total.stalled ? html` <small>${total.stalled} stalled</small>` : null}</dd></div>
    <div><dt>Lost contact</dt><dd class=${total.lost ? "bad" : ""}>${exact(total.lost)}</dd></div>
    <div><dt>Steps/s</dt><dd>${count(total.steps_per_second)}</dd></div>
    <div><dt>Episodes/min</dt><dd>${count(total.episodes_per_minute)}</dd></div>
    <div><dt>Newest step</dt><dd>${total.newest_ts ? ago(now.value - total.newest_ts / 1000) : "–"}</dd></div>
    <${Audit} light=${light.read().get("")} />
  </dl>`;
}

/** Whether every step of the streams of the last ten minutes is accounted for. @param {{light: Row | undefined}} props */
function Audit({light}) {
  const {tone, text, title} = lightOf(light);
  return html`<div title=${title}><dt>Audit</dt><dd class=${tone}><a href="/health">${text}</a></dd></div>`;
}

function NothingYet() {
  return html`<${Empty} title="No run is recorded yet">
    <p>Put three lines around your environment. The page fills as soon as it steps.</p>
    <pre>from runbus.gymnasium import RecordSteps

env = RecordSteps(gymnasium.make("CartPole-v1"), run="first")</pre>
  </${Empty}>`;
}

/**
 * Pin a run, or take its pin off: for everybody, where the server takes it; else in the address.
 * @param {Row} row
 */
function pin({run, pinned}) {
  const pins = named("pin");
  const without = pins.filter((one) => one !== run);
  if (session.value.annotates && !pins.includes(run)) (pinned ? take : put)({run}, {kind: "pin"}).catch((error) => say(error.message));
  else set({pin: (pins.includes(run) ? without : [...pins, run]).join(BETWEEN)});
}

/** @param {string} run */
function toBaseline(run) {
  set({base: route.value.params.get("base") === run ? null : run});
}

/** @param {string[]} runs */
function compare(runs) {
  go("/compare", {runs: runs.join(BETWEEN)});
}

/**
 * @param {import("../vendor/signals-core.js").Signal<Set<string>>} shut
 * @param {string} group
 */
function flip(shut, group) {
  const found = new Set(shut.value);
  if (!found.delete(group)) found.add(group);
  shut.value = found;
}

/**
 * The page Groups: the rollouts of each task, prompt or group of a run, and whether they differ at all.
 */
import {html, useEffect, useMemo, useSignal} from "../lib/preact.js";
import {get} from "../lib/api.js";
import {count, exact, number} from "../lib/format.js";
import {expose} from "../lib/inspect.js";
import {go, href, route, set} from "../lib/route.js";
import {useAnswer} from "../ui/answer.js";
import {Panel} from "../ui/panel.js";
import {Empty, Failed, Problem} from "../ui/states.js";
import {ends, Spread} from "../ui/spread.js";
import {Table} from "../ui/table.js";

/** @typedef {import("../lib/channels.js").Row} Row */

const PAGE = 100, SELDOM_MS = 60_000;

export default function Groups() {
  const {params} = route.value, run = params.get("run") ?? "";
  if (!run) return html`<${Problem} title="Of which run?" todo="Open one, and its groups from there."><a href="/">All runs</a></${Problem}>`;
  const asked = {run, by: params.get("by") || "group", policy: params.get("policy") || undefined, score: params.get("score") || undefined, success: params.get("success") || undefined,
    sort: params.get("sort") || undefined, descending: params.get("dir") === "up" ? "false" : "true"};
  return html`<header class="run-head"><div><h1>Groups of ${run}</h1><a href=${href("/run", {run})}>The run</a></div></header><${Tools} run=${run} by=${asked.by} /><${Known} key=${JSON.stringify(asked)} asked=${asked} />`;
}

/** @param {{run: string, by: string}} props */
function Tools({run, by}) {
  const judged = useAnswer("/run/scores", {run}, SELDOM_MS).answer.value, names = [...new Set(/** @type {string[]} */ (judged?.columns.name ?? []))];
  const {params} = route.value, choose = (/** @type {string} */ name) => (/** @type {any} */ event) => set({[name]: event.currentTarget.value});
  return html`<div class="tools" role="toolbar" aria-label="What a group is">
    <label>a group is one <input value=${by} aria-label="Label of the episodes" placeholder="group" onChange=${choose("by")} /></label>
    <label>policy <input value=${params.get("policy") ?? ""} placeholder="all" aria-label="Policy; empty = all" onChange=${choose("policy")} /></label>
    <label>judged by <select value=${params.get("score") ?? "return"} onChange=${(/** @type {any} */ event) => set({score: event.currentTarget.value === "return" ? null : event.currentTarget.value})}>
      <option value="return">return</option>${[...new Set([...(names.length ? ["return_scored"] : []), ...names, params.get("score") ?? "return"])].filter((name) => name !== "return").map((name) => html`
        <option value=${name}>${name === "return_scored" ? "return with late rewards" : name}</option>`)}</select></label>
    <label>passed from <input type="number" step="any" value=${params.get("success") ?? 1} aria-label="Return from which on a rollout has passed" onChange=${choose("success")} /></label></div>`;
}

/** @param {{asked: import("../lib/route.js").Changes}} props */
function Known({asked}) {
  const said = useSignal(/** @type {any} */ (null)), rows = useSignal(/** @type {Row[]} */ ([])), error = useSignal(/** @type {Error | null} */ (null));
  const more = useMemo(() => pager(asked, said, rows, error), []);
  useEffect(() => {
    void more();
  }, []);
  useEffect(() => expose("groups", () => ({...said.value, rows: rows.value})));
  if (error.value && !said.value) return html`<${Failed} error=${error.value} />`;
  if (!said.value) return html`<p class="note">Asking for the groups …</p>`;
  if (!rows.value.length) {
    return html`<${Empty} title=${`No episode of this run has a label ${asked.by}`}><p>Say at the reset which group a rollout is of:</p>
      <pre>recorder.reset(prompt, labels={"group": "prompt-17", "policy": "step-200"})</pre></${Empty}>`;
  }
  const {groups, comparable, zero_variance: zero, rollouts, ks} = said.value, scale = ends(rows.value.flatMap((row) => [row.min, row.max]));
  return html`<dl class="facts">
      <div><dt>Groups</dt><dd>${exact(groups)}</dd></div><div><dt>Rollouts</dt><dd>${count(rollouts)}</dd></div>
      <div><dt>Without a difference</dt><dd class=${zero ? "warn" : ""}>${exact(zero)} <span class="unit">of ${exact(comparable)} with two rollouts or more: ${comparable ? ((100 * zero) / comparable).toFixed(1) : 0} % teach nothing</span></dd></div></dl>
    <${Panel} title="Groups" class="wide" unit=${`${asked.score === undefined ? "returns" : asked.score === "return_scored" ? "returns with late rewards" : asked.score} from ${number(scale[0])} to ${number(scale[1])}`} source=${{path: "/groups", params: asked}}>
      <${Table} label="Groups" rows=${rows.value} columns=${columnsOf(asked, ks, scale)} keyOf=${(/** @type {Row} */ row) => row.group} sort=${asked.sort ?? "std"} descending=${asked.descending === "true"}
        onSort=${(/** @type {string} */ name, /** @type {boolean} */ down) => set({sort: name, dir: down ? null : "up"}, {replace: true})} more=${more} ended=${!said.value.next} view=${18}
        onOpen=${(/** @type {Row} */ row) => go("/episode", pair(asked.run, row))} /></${Panel}>`;
}

/**
 * Return what loads the next page, the first one at first.
 * @param {import("../lib/route.js").Changes} asked
 * @param {import("../vendor/signals-core.js").Signal<any>} said
 * @param {import("../vendor/signals-core.js").Signal<Row[]>} rows
 * @param {import("../vendor/signals-core.js").Signal<Error | null>} error
 */
function pager(asked, said, rows, error) {
  let asking = false;
  return async () => {
    if (asking || said.value?.next === "") return;
    asking = true;
    try {
      const {columns, rows: found, ...rest} = await get("/groups", {...asked, most: PAGE, after: said.value?.next});
      const names = Object.keys(columns);
      rows.value = [...rows.value, ...Array.from({length: found}, (_, i) => Object.fromEntries(names.map((name) => [name, columns[name][i]])))];
      said.value = rest;
    } catch (wrong) {
      error.value = /** @type {Error} */ (wrong);
    }
    asking = false;
  };
}

/** The best rollout of a group beside its worst. @param {any} run @param {Row} row */
function pair(run, {best, worst}) {
  const [agent, attempt, env, episode] = best;
  return {run, agent, attempt, env, episode, with: best.join() === worst.join() ? undefined : worst.join("/")};
}

/** @param {import("../lib/route.js").Changes} asked @param {number[]} ks @param {[number, number]} scale */
const columnsOf = (asked, ks, scale) => [
  {name: String(asked.by), cell: (/** @type {Row} */ row) => html`${row.group}${row.zero_variance && row.n > 1 ? html` <span class="label" title="All returns are the same: no gradient">no difference</span>` : null}`},
  {name: asked.score === undefined ? "Returns" : "Scores", cell: (/** @type {Row} */ row) => html`<${Spread} values=${row.returns} scale=${scale} at=${row.mean} label=${`${row.n} returns from ${number(row.min)} to ${number(row.max)}`} />`},
  {name: "Rollouts", sort: "n", num: true, cell: (/** @type {Row} */ row) => exact(row.n)},
  {name: "Mean", sort: "mean", num: true, cell: (/** @type {Row} */ row) => number(row.mean)},
  {name: "Std", sort: "std", num: true, cell: (/** @type {Row} */ row) => number(row.std)},
  {name: "Passed", sort: "passed", num: true, cell: (/** @type {Row} */ row) => `${exact(row.passed)} of ${exact(row.n)}`},
  ...ks.map((k, i) => ({name: `pass@${k}`, num: true, wide: true, cell: (/** @type {Row} */ row) => (row.pass_at[i] === null ? html`<span class="muted">–</span>` : row.pass_at[i].toFixed(3))})),
  {name: "Length", num: true, wide: true, cell: (/** @type {Row} */ row) => html`${number(row.length)} <span class="unit">steps</span>`},
  {name: "Truncated", num: true, wide: true, cell: (/** @type {Row} */ row) => `${(100 * row.truncated).toFixed(0)} %`},
  {name: "Best and worst", cell: (/** @type {Row} */ row) => html`<a href=${href("/episode", pair(asked.run, row))}>side by side</a>`},
];

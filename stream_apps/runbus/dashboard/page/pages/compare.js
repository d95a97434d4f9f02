/**
 * The page Compare: runs beside each other, in arms with intervals over their seeds, and in what they differ.
 */
import {html, useEffect, useMemo} from "../lib/preact.js";
import {ApiError} from "../lib/api.js";
import {armsOf, curvesOf, differences, pairsOf, STATISTICS} from "../lib/arms.js";
import {Axis} from "../lib/axis.js";
import {count, exact, number} from "../lib/format.js";
import {expose} from "../lib/inspect.js";
import {joined, parted} from "../lib/names.js";
import {href, route, set} from "../lib/route.js";
import {freshOf, useAnswer} from "../ui/answer.js";
import {Chart, Swatch, useChartKeys} from "../ui/chart.js";
import {Panel} from "../ui/panel.js";
import {Empty, Failed} from "../ui/states.js";
import {ends, Spread} from "../ui/spread.js";

/** Between the runs of the address: no name of a run has it. */
const BETWEEN = "/";
const OFTEN_MS = 15_000;
/** So many runs are columns of the table of settings. */
const MOST_RUNS = 24;

export default function Compare() {
  const {params} = route.value, runs = (params.get("runs") ?? "").split(BETWEEN).filter(Boolean), q = params.get("q") ?? params.get("where") ?? "";
  if (!runs.length && !q) {
    return html`<${Empty} title="Nothing is chosen to compare"><p>Select runs in the list with <kbd>x</kbd> and press <kbd>c</kbd>. Or filter them, and group them by a setting:</p>
      <form class="tools" onSubmit=${(/** @type {any} */ event) => {
        event.preventDefault();
        set({q: new FormData(event.currentTarget).get("q")?.toString()});
      }}><input name="q" type="search" aria-label="Filter of runs" placeholder="algo:ppo,dqn" /><button>Compare</button></form><p><a href="/">All runs</a></p></${Empty}>`;
  }
  return html`<${Compared} key=${`${runs} ${q}`} runs=${runs} q=${q} />`;
}

/** @param {{runs: string[], q: string}} props */
function Compared({runs, q}) {
  const {params} = route.value, kind = params.get("x") === "episode" ? "episode" : "seq";
  const statistic = /** @type {import("../lib/arms.js").Statistic} */ (Object.keys(STATISTICS).find((known) => known === params.get("stat")) ?? "iqm");
  const who = {run: runs, q: q || undefined, group: params.get("group") ?? undefined, strata: params.get("strata") ?? undefined};
  const scored = {...who, over: params.get("over") ?? 100}, curved = {...who, x: kind};
  const scores = useAnswer("/compare", scored, OFTEN_MS), curve = useAnswer("/compare/curve", curved, OFTEN_MS), better = useAnswer("/compare/better", scored, OFTEN_MS);
  const axis = useMemo(() => new Axis(kind), [kind]);
  useChartKeys(axis);
  const hidden = new Set(parted(params.get("hide")));
  const answer = scores.answer.value, arms = answer ? armsOf(answer, statistic) : [], seen = arms.filter((arm) => !hidden.has(arm.arm));
  const lines = useMemo(() => (curve.answer.value ? curvesOf(curve.answer.value, statistic, hidden) : []), [curve.answer.value, statistic, params.get("hide")]);
  useEffect(() => expose("compare", () => ({arms, lines, better: better.answer.value, members: answer?.members, differs: answer?.differs})));
  const wrong = scores.error.value;
  if (!answer && wrong) return html`<${Failed} error=${wrong} /><p class="note"><a href="/">All runs</a></p>`;
  if (!answer) return html`<p class="note">Comparing …</p>`;
  const few = seen.some((arm) => arm.seeds < 4);
  return html`
    <h1>Compare ${exact(answer.members.length)} runs${q && html` <span class="unit">${q}</span>`}</h1>
    <${Tools} kind=${kind} statistic=${statistic} answer=${answer} />
    <div class="arms" aria-label="Arms; press one to hide it">${arms.map((arm) => html`<button type="button" class="arm" key=${arm.arm} aria-pressed=${String(!hidden.has(arm.arm))}
      title="Hide it, or show it again: no other line changes" onClick=${() => hide(hidden, arm.arm)}><${Swatch} look=${arm.look} /><span>${arm.arm || "(not set)"}</span></button>`)}</div>
    ${few && html`<p class="muted">An arm with fewer than 4 runs${params.get("strata") ? " in a stratum" : ""} has points and no interval: too few say nothing of the others.</p>`}
    <div class="panels">
      <${Panel} title="Return" unit=${`${STATISTICS[statistic]} over the runs of an arm, 95 % interval`} class="wide" fresh=${freshOf(curve)} source=${{path: "/compare/curve", params: curved}}>
        <${Chart} name="return" label="Return" axis=${axis} series=${lines} empty=${lines.length ? "" : curve.error.value?.message ?? (curve.answer.value ? "No episode has ended by itself yet." : "Asking …")} /></${Panel}>
      <${Panel} title="Scores" unit=${`return of the newest ${scored.over === 100 ? 100 : scored.over || "of all"} episodes of each run`} class="wide" fresh=${freshOf(scores)} source=${{path: "/compare", params: scored}}>
        <${Scores} arms=${seen} statistic=${statistic} /></${Panel}>
      <${Panel} title="Which is better" unit="how probable it is that a run of one scores more than a run of the other" fresh=${freshOf(better)} source=${{path: "/compare/better", params: scored}}>
        <${Better} answer=${better.answer.value} error=${better.error.value} hidden=${hidden} /></${Panel}>
      <${Panel} title="In what they differ" unit="settings" source=${{path: "/compare", params: scored}}><${Differs} answer=${answer} /></${Panel}>
    </div>`;
}

/** @param {Set<string>} hidden @param {string} arm */
function hide(hidden, arm) {
  const next = new Set(hidden);
  if (!next.delete(arm)) next.add(arm);
  set({hide: next.size ? joined(next) : null}, {replace: true});
}

/** @param {{kind: string, statistic: string, answer: any}} props */
function Tools({kind, statistic, answer}) {
  const {params} = route.value, settings = Object.keys(answer.differs).sort();
  const choose = (/** @type {string} */ name) => (/** @type {any} */ event) => set({[name]: event.currentTarget.value});
  const named = (/** @type {string} */ name) => [...new Set([...settings.map((one) => `config.${one}`), params.get(name) ?? ""])].filter(Boolean);
  const field = (/** @type {string} */ name, /** @type {string} */ none) => html`<select value=${params.get(name) ?? ""} onChange=${choose(name)}>
    <option value="">${none}</option>${named(name).map((one) => html`<option value=${one}>${one.replace(/^config\./, "")}</option>`)}</select>`;
  return html`<div class="tools" role="toolbar" aria-label="How runs are compared">
    <label>an arm is ${field("group", "each run")}</label>
    <label>drawn apart by ${field("strata", "nothing")}</label>
    <label>shows <select value=${statistic} onChange=${choose("stat")}>${Object.entries(STATISTICS).map(([name, label]) => html`<option value=${name}>${label}</option>`)}</select></label>
    <label>x <select value=${kind} onChange=${(/** @type {any} */ event) => set({x: event.currentTarget.value, range: null})}><option value="seq">step of the stream</option><option value="episode">episode</option></select></label>
    <label>score of the newest <input type="number" min="0" value=${params.get("over") ?? 100} aria-label="Episodes of a score; 0 = all" onChange=${choose("over")} /> episodes</label>
  </div>`;
}

/** @param {{arms: import("../lib/arms.js").Arm[], statistic: string}} props */
function Scores({arms, statistic}) {
  const scale = ends(arms.flatMap((arm) => [...arm.scores, arm.low, arm.high]));
  if (!arms.length) return html`<p class="none">No run has an episode that ended by itself.</p>`;
  return html`<div class="scroll-x" tabindex="0" role="region" aria-label="Scores"><table aria-label="Scores of the arms"><thead><tr><th scope="col">Arm</th><th scope="col" class="num">Runs</th><th scope="col" class="num">Episodes</th>
      <th scope="col">${number(scale[0])} to ${number(scale[1])}</th><th scope="col" class="num">${statistic}</th><th scope="col" class="num">95 % interval</th></tr></thead>
    <tbody>${arms.map((arm) => html`<tr key=${arm.arm}><th scope="row"><${Swatch} look=${arm.look} /> ${arm.runs.length === 1 ? html`<a href=${href("/run", {run: arm.runs[0]})}>${arm.arm}</a>` : arm.arm || "(not set)"}</th>
      <td class="num">${exact(arm.runs.length)}${arm.strata > 1 ? html` <span class="unit">in ${arm.strata} strata</span>` : null}</td><td class="num">${count(arm.episodes)}</td>
      <td><${Spread} values=${arm.scores} scale=${scale} colour=${arm.look.colour} at=${arm.at} low=${arm.low} high=${arm.high} label=${`${arm.scores.length} runs of ${arm.arm}, from ${number(Math.min(...arm.scores))} to ${number(Math.max(...arm.scores))}`} /></td>
      <td class="num">${number(arm.at)}</td><td class="num">${arm.low === null ? html`<span class="muted">fewer than 4</span>` : `${number(arm.low)} to ${number(arm.high)}`}</td></tr>`)}</tbody></table></div>`;
}

/** @param {{answer: any, error: Error | null, hidden: Set<string>}} props */
function Better({answer, error, hidden}) {
  if (!answer) return html`<p class="none">${error instanceof ApiError ? error.message : "Asking …"}</p>`;
  const pairs = pairsOf(answer, hidden);
  if (!pairs.length) return html`<p class="none">It takes two arms.</p>`;
  return html`<div class="scroll-x" tabindex="0" role="region" aria-label="Which is better"><table aria-label="Probability of improvement"><tbody>${pairs.map(({arm, other, p, low, high}) => html`<tr key=${`${arm} ${other}`}>
    <th scope="row">${arm} <span class="muted">over</span> ${other}</th><td><${Spread} values=${[]} scale=${[0, 1]} half=${0.5} at=${p} low=${low} high=${high} label=${`${(100 * p).toFixed(0)} %`} /></td>
    <td class="num">${(100 * p).toFixed(1)} %</td><td class="num">${low === null || high === null ? html`<span class="muted">too few runs</span>` : html`<span class="muted">${(100 * low).toFixed(0)} to ${(100 * high).toFixed(0)} %</span>`}</td></tr>`)}</tbody></table></div>`;
}

/** @param {{answer: any}} props */
function Differs({answer}) {
  const runs = answer.members.map((/** @type {{run: string}} */ one) => one.run), shown = runs.slice(0, MOST_RUNS), rows = differences(answer.differs, shown);
  if (!rows.length) return html`<p class="none">Their configurations are the same.</p>`;
  return html`<div class="scroll-x" tabindex="0" role="region" aria-label="Differences"><table class="differs" aria-label="Settings that differ"><thead><tr><th scope="col">Setting</th>${shown.map((/** @type {string} */ run) => html`<th scope="col"><a href=${href("/run", {run})}>${run}</a></th>`)}</tr></thead>
    <tbody>${rows.map(({setting, cells}) => html`<tr key=${setting}><th scope="row">${setting}</th>${cells.map((cell) => html`<td class=${cell.other ? "other" : ""} title=${cell.text}>${cell.text}</td>`)}</tr>`)}</tbody></table></div>
    ${runs.length > MOST_RUNS ? html`<p class="muted">${exact(runs.length - MOST_RUNS)} more runs are in the CSV.</p>` : null}`;
}

/**
 * Draws what belongs to no step of a run: metrics of learners and evaluations over their own axes, and how it was judged.
 */
import {html, useEffect, useMemo, useRef} from "../lib/preact.js";
import {Axis} from "../lib/axis.js";
import {historyOf, seriesOf, unitsOf} from "../lib/curve.js";
import {ago, count, exact, number} from "../lib/format.js";
import {expose} from "../lib/inspect.js";
import {now} from "../lib/live.js";
import {keyOf, metricsOf, shownOf} from "../lib/metrics.js";
import {joined, parted} from "../lib/names.js";
import {href, route, set} from "../lib/route.js";
import {freshOf, useAnswer} from "./answer.js";
import {Chart} from "./chart.js";
import {Panel} from "./panel.js";

/** @typedef {import("../lib/metrics.js").Metric} Metric */

const BINS = innerWidth > 700 ? 512 : 256;

/** @param {{run: string, answer: any, every: number}} props `answer` of `/run/metrics` */
export function Metrics({run, answer, every}) {
  const all = metricsOf(answer), given = route.value.params.get("metrics");
  const axes = shownOf(all, given === null ? null : parted(given)), shown = [...axes.values()].flat().map(keyOf);
  const toggle = (/** @type {string} */ key) => set({metrics: joined(shown.includes(key) ? shown.filter((one) => one !== key) : [...shown, key])});
  useEffect(() => expose("metrics", () => ({names: all.map((metric) => metric.name), shown})));
  return html`<header class="wide part"><h2>Metrics</h2>
      <details class="take"><summary>${exact(shown.length)} of ${exact(all.length)}</summary><div class="menu">
        ${all.map((metric) => html`<label key=${keyOf(metric)}><input type="checkbox" checked=${shown.includes(keyOf(metric))} onChange=${() => toggle(keyOf(metric))} />
          ${metric.name} <small class="muted">${metric.axis || "time"} · ${number(metric.last)}</small></label>`)}</div></details></header>
    ${[...axes].map(([axis, metrics]) => html`<${OnAxis} key=${axis} run=${run} axis=${axis} metrics=${metrics} every=${every} />`)}`;
}

/** @param {{run: string, axis: string, metrics: Metric[], every: number}} props */
function OnAxis({run, axis, metrics, every}) {
  const placed = metrics.some((metric) => metric.placed);
  const on = useMemo(() => new Axis(placed ? "seq" : "time", {label: axis || "time", param: `range.${axis || "time"}`}), [axis, placed]);
  return metrics.map((metric) => html`<${MetricPanel} key=${metric.name} run=${run} metric=${metric} on=${on} every=${every} />`);
}

/** @param {{run: string, metric: Metric, on: Axis, every: number}} props */
function MetricPanel({run, metric: {name, axis}, on, every}) {
  const plot = useRef(null), range = on.range.value, units = unitsOf(on.kind);
  const params = {
    run, name, axis: axis || undefined, x: on.kind === "time" ? "time" : "position", bins: BINS,
    from: range ? Math.floor(range[0] * units) : undefined, to: range ? Math.ceil(range[1] * units) : undefined,
  };
  const asked = useAnswer("/run/metric", params, every), answer = asked.answer.value;
  const series = useMemo(() => drawn(run, answer, on.kind), [answer]);
  return html`<${Panel} title=${name} unit=${on.label} fresh=${freshOf(asked)} source=${{path: "/run/metric", params}} png=${() => /** @type {any} */ (plot.current)?.picture() ?? null}>
    <${Chart} name=${`metric ${keyOf({name, axis})}`} label=${name} axis=${on} series=${series} plot=${plot}
      empty=${answer ? "No value in this part." : asked.error.value?.message ?? "Asking …"} /></${Panel}>`;
}

/**
 * @param {string} run
 * @param {any} answer of `/run/metric`
 * @param {import("../lib/axis.js").Kind} kind
 */
function drawn(run, answer, kind) {
  if (!answer) return [];
  const history = historyOf(answer, "agent", "metrics"), sources = [...(answer.width ? history.bins : history.points).keys()].sort();
  return seriesOf(history, answer.width, {run, kind, by: "agent", all: "", agents: sources});
}

/** @typedef {ReturnType<typeof useAnswer>} Asked */

/** How a run was judged: by name and judge, with the newest judgement. @param {{run: string, asked: Asked}} props `asked`: `/run/scores` */
export function Scores({run, asked}) {
  const params = {run}, answer = asked.answer.value, c = answer.columns;
  useEffect(() => expose("scores", () => c));
  return html`<${Panel} title="Scores" unit="judgements" class="wide" fresh=${freshOf(asked)} source=${{path: "/run/scores", params}}>
    <div class="scroll-x" tabindex="0"><table class="cards" aria-label="Scores by name and judge">
      <thead><tr><th>Score</th><th>Judge</th><th class="num">How many</th><th class="num">Mean</th><th class="num">Range</th><th>The newest</th></tr></thead>
      <tbody>${Array.from({length: answer.rows}, (_, i) => html`<tr key=${`${c.name[i]} ${c.judge[i]}`}>
        <td class="name">${c.name[i]}</td><td data-name="Judge">${c.judge[i]}</td><td class="num" data-name="How many">${count(c.scores[i])}</td>
        <td class="num" data-name="Mean">${number(c.mean[i])}</td><td class="num" data-name="Range">${number(c.min[i])} to ${number(c.max[i])}</td>
        <td data-name="The newest">${c.agent[i] && c.episode[i] >= 0 && c.attempt[i] > 0
          ? html`<a href=${href("/episode", {run, agent: c.agent[i], attempt: c.attempt[i], env: c.env[i], episode: c.episode[i]})}>${c.agent[i]}, episode ${exact(c.episode[i])}</a> ` : ""}
          ${c.label[i]} ${c.text[i].slice(0, 160)} <small class="muted">${ago(now.value - c.newest_ts[i] / 1000)}</small></td></tr>`)}</tbody></table></div></${Panel}>`;
}

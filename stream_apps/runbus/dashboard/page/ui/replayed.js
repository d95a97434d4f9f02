/**
 * Shows a recorded run as it came: the curves grow, the agents count, at a speed, from any moment of it.
 */
import {html, useComputed, useEffect, useMemo, useSignal} from "../lib/preact.js";
import {Axis} from "../lib/axis.js";
import {RecentEpisodes} from "../lib/curves.js";
import {count, duration, exact, moment} from "../lib/format.js";
import {expose} from "../lib/inspect.js";
import {useKeys} from "../lib/keys.js";
import {AT_ONCE, Replay, SPEEDS} from "../lib/replay.js";
import {href, route, set} from "../lib/route.js";
import {Agents} from "./agents.js";
import {useChartKeys} from "./chart.js";
import {CurvePanel} from "./curve.js";
import {Problem} from "./states.js";

const MOST_LINES = 8;

/** @param {{run: string}} props */
export function Replayed({run}) {
  const speed = Number(route.value.params.get("replay"));
  const replay = useMemo(() => new Replay(run, speed), [run]);
  const recent = useMemo(() => new RecentEpisodes(replay), [replay]);
  const axis = useMemo(() => new Axis("seq"), [run]);
  useEffect(() => () => {
    recent.stop();
    replay.close();
  }, [replay]);
  useEffect(() => replay.setSpeed(speed), [speed]);
  useEffect(() => expose("replay", () => replay.progress.value), [replay]);
  useChartKeys(axis);
  useKeys({play: () => (replay.plays.value ? replay.stop() : replay.play())});
  const streams = useComputed(() => [...replay.channel("streams").read().values()]);
  const agents = new Set(streams.value.map((row) => row.agent)), by = /** @type {import("../lib/curve.js").By} */ (agents.size > MOST_LINES ? "run" : "agent");
  const what = {run, kind: axis.kind, by, agent: "", all: agents.size === 1 ? [...agents][0] : `all ${agents.size} agents`, agents: [...agents]};
  const common = {axis, recent, what, smooth: null, live: replay, away: false};
  const progress = replay.progress.value;
  if (progress && !progress.episodes) {
    return html`<${Problem} title="Nothing of this run can be played" text="No finished episode of it is stored.">
      <a href=${href("/run", {run})}>${run} as it is now</a></${Problem}>`;
  }
  return html`
    <header class="run-head"><div><h1>${run}</h1><span class="label">replay</span>
      <a href=${href("/run", {run})}>as it is now</a></div></header>
    <${Bar} replay=${replay} speed=${speed} />
    <div class="panels">
      <${CurvePanel} ...${common} y="return" title="Return" unit="per episode" />
      <${CurvePanel} ...${common} y="length" title="Length" unit="steps per episode" />
      <${Agents} run=${run} streams=${streams.value} told=${[]} />
    </div>`;
}

/** @param {{replay: Replay, speed: number}} props */
function Bar({replay, speed}) {
  const {at = 0, from = 0, to = 0, over = false} = replay.progress.value ?? {}, dragged = useSignal(/** @type {number | null} */ (null));
  const plays = replay.plays.value, shown = dragged.value ?? Math.min(Math.max(at, from), to);
  const seen = replay.channel("episodes").read().size;
  const end = (/** @type {any} */ event) => {
    dragged.value = null;
    replay.seek(Number(event.currentTarget.value));
  };
  return html`<section class="panel replay-bar" aria-label="Replay"><div class="body">
    <button type="button" onClick=${() => (plays ? replay.stop() : replay.play())} title="Space">${plays ? "Pause" : over ? "Again" : "Play"}</button>
    <label>speed <select value=${String(speed)} onChange=${(/** @type {any} */ event) => set({replay: event.currentTarget.value}, {replace: true})}>
      ${[...new Set([...SPEEDS, speed])].sort((a, b) => a - b).map((one) => html`<option value=${String(one)}>${one >= AT_ONCE ? "at once" : `${one} ×`}</option>`)}</select></label>
    <input type="range" class="grow" min=${from} max=${to} step="any" value=${shown} disabled=${to <= from} aria-label="Moment of the run"
      aria-valuetext=${moment(shown)} onInput=${(/** @type {any} */ event) => (dragged.value = Number(event.currentTarget.value))} onChange=${end} />
    <span class="num">${shown ? moment(shown) : "–"} <span class="unit">${duration((shown - from) / 1000)} of ${duration((to - from) / 1000)}</span></span>
    <span class="num" title=${exact(seen)}>${count(seen)} <span class="unit">of ${count(replay.progress.value?.episodes)} episodes</span></span>
  </div></section>`;
}

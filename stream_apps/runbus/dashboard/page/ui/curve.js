/**
 * Frames one curve of a run: history and what comes live as one chart.
 */
import {html, useComputed, useEffect, useMemo, useRef, useSignal} from "../lib/preact.js";
import {Curve} from "../lib/curves.js";
import {number} from "../lib/format.js";
import {expose} from "../lib/inspect.js";
import {UNHEARD} from "../lib/live.js";
import {Chart} from "./chart.js";
import {Panel} from "./panel.js";

/** About so many bins: no more than the chart has pixels. */
const BINS = innerWidth > 700 ? 512 : 256;
const SLOW_MS = 300;

/**
 * @param {{y: string, title: string, unit: string, axis: import("../lib/axis.js").Axis, recent: import("../lib/curves.js").RecentEpisodes,
 *   what: Pick<import("../lib/curves.js").What, "run" | "kind" | "by" | "agent" | "until" | "all" | "alive" | "agents">, smooth: import("./chart.js").Smooth,
 *   live: import("../lib/live.js").Live, away: boolean}} props
 */
export function CurvePanel({y, title, unit, axis, recent, what, smooth, live}) {
  const given = useSignal(what), plot = useRef(null), late = useSignal(false);
  if (JSON.stringify(given.peek()) !== JSON.stringify(what)) given.value = what;
  const asked = useComputed(() => {
    const range = axis.range.value;
    return {...given.value, y, from: range?.[0], to: range?.[1], bins: BINS};
  });
  const curve = useMemo(() => new Curve(asked, recent), [axis, y]);
  useEffect(() => () => curve.close(), [curve]);
  useEffect(() => expose(`curve ${y}`, () => ({
    width: curve.history.value?.width, below: curve.history.value?.below, wait: curve.stitched.value.wait, series: curve.series.value, asked: curve.asked.value,
  })), [curve]);
  useEffect(() => {
    const timer = setTimeout(() => (late.value = curve.asking.value), SLOW_MS);
    return () => clearTimeout(timer);
  }, [curve.asking.value]);
  const series = curve.series.value, {error, said, history} = curve, waits = curve.stitched.value.wait;
  const why = error.value ? (curve.isLive ? "live only: ClickHouse does not answer" : "ClickHouse does not answer") : UNHEARD[live.state.value] ?? "";
  const newest = live.state.value === "live" && what.until === undefined ? undefined : said.value.fresh?.asked_at;
  return html`<${Panel} title=${title} unit=${unit} source=${curve.source} png=${() => /** @type {any} */ (plot.current)?.picture() ?? null}
    fresh=${{askedAt: said.value.fresh?.asked_at, newest, stale: Boolean(why) && !(curve.isLive && series.length), why, leftOut: said.value.left_out}}
    tools=${html`<span class="fresh">${why && curve.isLive && series.length ? html`<span class="stale-word">${why}</span>` : null}
      ${waits && history.value ? html`<span title="A later revision of an episode waits for ClickHouse"> 1 revision pending</span>` : null}
      ${late.value && curve.asking.value ? " asking …" : null}${smooth ? ` ${smooth.kind === "ema" ? `average, half life ${number(smooth.size)}` : `median of ${smooth.size}`}` : ""}</span>`}>
    <${Chart} name=${y} label=${title} unit="" axis=${axis} series=${series} smooth=${smooth} plot=${plot} empty=${series.length ? "" : empty(curve, y)} />
  </${Panel}>`;
}

/** Why there is nothing to draw. @param {Curve} curve @param {string} y */
function empty(curve, y) {
  if (curve.error.value) return curve.error.value.message;
  if (!curve.history.value) return "Asking …";
  if (curve.asked.value?.from !== undefined) return "Nothing in this part. u shows the part before.";
  if (y === "return" || y === "length") return "No episode has ended yet.";
  return y === "steps_per_second" ? "No step is stored yet." : `No step of this run has logged ${y}.`;
}

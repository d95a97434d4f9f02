/**
 * Draws the steps of a transcript as a time line: a bar as long as a step took, below the one that caused it.
 */
import {html, useEffect, useMemo, useRef, useSignal} from "../lib/preact.js";
import {duration} from "../lib/format.js";
import {isError} from "../lib/jump.js";
import {spans, treeOf} from "../lib/transcript.js";
import {ink} from "./ink.js";
import {Now} from "./steps.js";
import {Canvas} from "./paint.js";

const TALL = 18;
const MOST_DEEP = 24;
/** @type {Record<string, string>} */
const COLOUR = {model: "--c0", tool: "--c2", agent: "--c3", judge: "--c4", human: "--c6", env: "--c7", "": "--c5"};

/**
 * @param {{entries: import("../lib/transcript.js").Entry[], depth: number[], spans: {from: number, to: number}[], cursor: number, go: (step: number) => void}} props
 */
function TimeLine({entries, depth, spans, cursor, go}) {
  const shown = useSignal(/** @type {[number, number] | null} */ (null));
  const root = useRef(/** @type {HTMLElement | null} */ (null));
  const start = spans.reduce((least, span) => Math.min(least, span.from), Infinity);
  const end = spans.reduce((most, span) => Math.max(most, span.to), -Infinity);
  const [from, to] = shown.value ?? [start, Math.max(end, start + 1)];
  const lane = (/** @type {number} */ place) => Math.min(MOST_DEEP, depth[place]);
  const height =
    (Math.min(
      MOST_DEEP,
      depth.reduce((most, deep) => Math.max(most, deep), 0),
    ) +
      1) *
      TALL +
    4;
  const draw = (/** @type {CanvasRenderingContext2D} */ pen, /** @type {number} */ width) => {
    const x = (/** @type {number} */ ts) => ((ts - from) / (to - from)) * width;
    entries.forEach((entry, place) => {
      const [left, right] = [x(spans[place].from), x(spans[place].to)];
      if (right < 0 || left > width) return;
      pen.fillStyle = ink(isError(entry.status) ? "--bad" : (COLOUR[entry.kind] ?? COLOUR[""]));
      pen.fillRect(left, lane(place) * TALL + 2, Math.max(1.5, right - left - 0.5), TALL - 4);
    });
  };
  const box = () => root.current?.querySelector("canvas")?.getBoundingClientRect() ?? {left: 0, top: 0, width: 1};
  const zoom = (/** @type {WheelEvent} */ event) => {
    event.preventDefault();
    const {left, width} = box();
    const at = from + ((event.clientX - left) / width) * (to - from);
    const by = event.deltaY < 0 ? 0.8 : 1.25;
    const next = /** @type {[number, number]} */ ([
      Math.max(start, at - (at - from) * by),
      Math.min(end, at + (to - at) * by),
    ]);
    if (next[1] - next[0] >= 1000) shown.value = next[0] <= start && next[1] >= end ? null : next;
  };
  const pick = (/** @type {MouseEvent} */ event) => {
    const {left, top, width} = box();
    const at = from + ((event.clientX - left) / width) * (to - from);
    const row = Math.floor((event.clientY - top) / TALL);
    const near = (/** @type {number} */ place) =>
      Math.max(spans[place].from - at, at - spans[place].to, 0) + (lane(place) === row ? 0 : (to - from) / 2);
    let best = 0;
    for (let place = 1; place < entries.length; place++) if (near(place) < near(best)) best = place;
    if (entries[best]) go(entries[best].step);
  };
  const place = entries.findIndex((entry) => entry.step >= cursor);
  const here = place < 0 ? null : ((spans[place].from + spans[place].to) / 2 - from) / (to - from);
  return html`<section class="panel time-line" aria-label="Time line"><header>
    <h2>Time line <span class="unit">${duration((to - from) / 1000)} of ${duration((end - start) / 1000)}</span></h2>
      <span class="grow"></span>
      ${Object.entries(COLOUR)
        .filter(([kind]) => kind && entries.some((entry) => entry.kind === kind))
        .map(
          ([kind, colour]) =>
            html`<span class="kind-key" key=${kind}><i style=${{background: `var(${colour})`}}></i>${kind}</span>`,
        )}
      <span class="kind-key"><i style=${{background: "var(--bad)"}}></i>error</span>
      ${shown.value && html`<button type="button" onClick=${() => (shown.value = null)}>All</button>`}</header>
    <div class="body time-body" ref=${root} onWheel=${zoom} onClick=${pick} title="Turn the wheel to zoom, click to go to a step">
      <${Canvas} class="time-canvas" height=${height} draw=${draw} deps=${[entries, entries.length, from, to]} />
      ${here !== null && here >= 0 && here <= 1 && html`<i class="cursor-line thin" style=${{left: `${here * 100}%`, width: "2px"}}>
        </i>`}</div></section>`;
}

/** The time line, and the step under the cursor below it. @param {{desk: import("./desk.js").Desk, talk: import("../lib/talk.js").Talk}} props */
export function Times({desk, talk}) {
  const {entries, places} = talk.outline;
  const depth = useMemo(() => treeOf(entries, places).depth, [entries.length]);
  const all = useMemo(() => spans(entries), [entries.length]);
  useEffect(() => desk.shows(null), []);
  return html`<${TimeLine} entries=${entries} depth=${depth} spans=${all} cursor=${desk.player.cursor.value}
    go=${(/** @type {number} */ step) => desk.player.seek(step)} />
    <${Now} desk=${desk} source=${desk.main} letter="" />`;
}

/**
 * Draws what happened to a run as marks on the x axis of its charts: restarts, drops, gaps, dead letters.
 */
import {html} from "../lib/preact.js";
import {exact} from "../lib/format.js";

/** @typedef {{kind: string, x: number, agent: string, count: number}} Mark */

/** Sign and word of each kind. @type {Record<string, [string, string, (count: number) => string]>} */
const KINDS = {
  restart: ["▲", "restarts", () => "was started again"],
  drop: ["◆", "drops", (count) => `dropped ${exact(count)} steps by its queue's policy`],
  gap: ["▨", "gaps", (count) => `has a gap: up to ${exact(count)} steps are missing`],
  dead_letter: ["✕", "dead letters", (count) => `has ${exact(count)} records in the dead letters`],
};
const PLACES = 100;

/**
 * @param {{marks: Mark[], axis: import("../lib/axis.js").Axis}} props
 */
export function Marks({marks, axis}) {
  const [from, to] = axis.shown.value, inside = marks.filter((mark) => mark.x >= from && mark.x <= to);
  const gone = marks.filter((mark) => mark.kind === "lost").reduce((sum, mark) => sum + mark.count, 0);
  if (!marks.length) return html`<p class="muted">No restart, drop, gap or dead letter in this run.</p>`;
  return html`${gone > 0 && html`<p class="warn">Retention took ${exact(gone)} records of its partitions before they were stored: some may be of this run.
    <a href="/health">Health</a> has their offsets.</p>`}
  <div class="events">${Object.entries(KINDS).map(([kind, [sign, word]]) => {
    const mine = inside.filter((mark) => mark.kind === kind);
    return html`<div class="event-row" key=${kind}><span class="event-word">${word} <b>${mine.length}</b></span><div class="lane">
      ${places(mine, from, to).map((group) => html`<button type="button" key=${group[0].x} class=${`event ${kind}`} title=${said(group, axis)} aria-label=${said(group, axis)}
        style=${{left: `${(100 * (group[0].x - from)) / (to - from)}%`}} onMouseEnter=${() => (axis.cursor.value = group[0].x)} onMouseLeave=${() => (axis.cursor.value = null)}
        onFocus=${() => (axis.cursor.value = group[0].x)} onClick=${() => (axis.cursor.value = group[0].x)}>${sign}${group.length > 1 ? group.length : ""}</button>`)}
    </div></div>`;
  })}</div>`;
}

/**
 * Marks that would lie on one another are one.
 * @param {Mark[]} marks
 * @param {number} from
 * @param {number} to
 * @returns {Mark[][]}
 */
export function places(marks, from, to) {
  /** @type {Map<number, Mark[]>} */
  const groups = new Map();
  for (const mark of marks) {
    const at = Math.round((PLACES * (mark.x - from)) / (to - from)), group = groups.get(at);
    if (group) group.push(mark);
    else groups.set(at, [mark]);
  }
  return [...groups.values()];
}

/** @param {Mark[]} group @param {import("../lib/axis.js").Axis} axis */
function said(group, axis) {
  const lines = group.slice(0, 5).map(({kind, agent, x, count}) => `${axis.text(x)}: ${agent} ${KINDS[kind][2](count)}`);
  return lines.join("\n") + (group.length > 5 ? `\nand ${group.length - 5} more` : "");
}

/**
 * Draws the transcript of an episode as a tree: what caused what, with what it cost with all that is below it.
 */
import {html, useMemo, useSignal} from "../lib/preact.js";
import {isError} from "../lib/jump.js";
import {firstLine, messages, shown, treeOf} from "../lib/transcript.js";
import {Rows} from "./rows.js";
import {Cost} from "./turn.js";

/** @typedef {import("./desk.js").Desk} Desk */
/** @typedef {import("../lib/talk.js").Talk} Talk */

const ROW = 30;

/** @param {{desk: Desk, talk: Talk}} props */
export function Tree({desk, talk}) {
  const {entries, places} = talk.outline;
  const folded = useSignal(/** @type {Set<number>} */ (new Set()));
  const top = useSignal(0);
  const tree = useMemo(() => treeOf(entries, places), [entries.length]);
  const order = useMemo(() => shown(tree, folded.value), [tree, folded.value]);
  const fold = (/** @type {number} */ place) => {
    const next = new Set(folded.value);
    if (!next.delete(place)) next.add(place);
    folded.value = next;
  };
  void desk.main.version.value;
  const cursor = desk.player.cursor.value;
  const row = (/** @type {number} */ index) => {
    const place = order[index];
    const entry = entries[place];
    const step = desk.main.cache.get(entry.step);
    const below = tree.children[place].length;
    const deep = Math.min(tree.depth[place], 24);
    return html`<div key=${place} class=${`tree-row ${entry.step === cursor ? "here" : ""} ${isError(entry.status) ? "error" : ""}`}
      role="row" aria-level=${tree.depth[place] + 1} aria-rowindex=${index + 1}
        aria-expanded=${below ? String(!folded.value.has(place)) : null} onClick=${() => desk.player.seek(entry.step)}>
      <span role="gridcell" class="tree-name" style=${{paddingLeft: `${deep * 14}px`}}>${
        below
          ? html`<button type="button" class="quiet fold" aria-label=${folded.value.has(place) ? "Unfold" : "Fold"} onClick=${(
              /** @type {Event} */ event,
            ) => {
              event.stopPropagation();
              fold(place);
            }}>${folded.value.has(place) ? "▸" : "▾"}</button>`
          : html`<span class="fold"></span>`
      }
        <span class="badge">${entry.kind || (entry.step === 0 ? "start" : "step")}</span> <span
          class="muted">#${entry.step}</span> ${step ? firstLine(labelOf(step), 120) : "…"}</span>
      <span role="gridcell" class="tree-cost">${isError(entry.status) && html`<b class="bad">${entry.status}</b> `}<${Cost}
        totals=${tree.totals[place]} /></span></div>`;
  };
  return html`<section class="panel tree" aria-label="Tree of causes">
    <${Rows} count=${order.length} height=${ROW} top=${top} row=${row} label="the tree" role="treegrid"
    seen=${(/** @type {number} */ a, /** @type {number} */ b) => desk.shows(spanOf(order.slice(a, b + 1).map((place) => entries[place].step)))} />
      </section>`;
}

/** @param {number[]} steps */
const spanOf = (steps) => (steps.length ? {from: Math.min(...steps), to: Math.max(...steps)} : null);

/** A step in one line: what was said, called or answered. @param {import("../lib/episode.js").Step} step */
function labelOf(step) {
  const [said] = step.step === 0 ? messages(step.observation) : messages(step.action);
  if (said?.text) return said.text;
  if (said?.calls.length) return said.calls.map((call) => `${call.name} ${call.input}`).join(", ");
  return messages(step.observation)[0]?.text ?? "";
}

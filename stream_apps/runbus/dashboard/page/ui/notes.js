/**
 * Lists what people put on a run or an episode, and what was written in it: checkpoints, videos, data sets.
 */
import {html, useEffect} from "../lib/preact.js";
import {ago, count, exact} from "../lib/format.js";
import {expose} from "../lib/inspect.js";
import {now} from "../lib/live.js";
import {href} from "../lib/route.js";
import {freshOf, rowsOf, useAnswer} from "./answer.js";
import {Panel} from "./panel.js";

/** @typedef {import("../lib/channels.js").Row} Row */

const MOST_TEXT = 2000;

/** @typedef {ReturnType<typeof useAnswer>} Asked */

/** @param {{of: import("../lib/route.js").Changes, every: number}} props `of`: an episode */
export function NotesOf({of, every}) {
  const said = useAnswer("/run/notes", of, every), written = useAnswer("/run/artifacts", of, every);
  return html`<${Notes} of=${of} said=${said} written=${written} />`;
}

/**
 * @param {{of: import("../lib/route.js").Changes, said: Asked, written: Asked}} props `of`: a run, or one of its
 *   episodes; `said`: `/run/notes`; `written`: `/run/artifacts`
 */
export function Notes({of, said, written}) {
  const notes = rowsOf(said.answer.value), files = rowsOf(written.answer.value);
  useEffect(() => expose("notes", () => ({notes, files})));
  return html`${notes.length > 0 && html`<${Panel} title="Notes" class="wide" fresh=${freshOf(said)} source=${{path: "/run/notes", params: of}}>
      <ul class="notes">${notes.map((row) => html`<li key=${`${row.kind} ${row.name} ${row.agent} ${row.episode} ${row.step}`}>
        <span class="label">${row.kind}</span> ${row.kind === "note" ? html`<span class="note-text">${row.text.slice(0, MOST_TEXT)}</span>` : html`<b>${row.kind === "pin" ? "" : row.name}</b>`}
        <small class="muted"><${Place} run=${of.run} row=${row} /> ${row.author}, ${ago(now.value - row.ts / 1000)}</small></li>`)}</ul></${Panel}>`}
    ${files.length > 0 && html`<${Panel} title="Files" unit="references; RunBus keeps no bytes" class="wide" fresh=${freshOf(written)} source=${{path: "/run/artifacts", params: of}}>
      <div class="scroll-x" tabindex="0"><table class="cards" aria-label="Files that were written">
        <thead><tr><th>File</th><th>Type</th><th class="num">Size</th><th>Where</th><th class="num">At</th><th class="num">Written</th></tr></thead>
        <tbody>${files.map((row, i) => html`<tr key=${i}>
          <td class="name">${row.name}</td><td data-name="Type">${row.type}</td><td class="num" data-name="Size">${row.bytes >= 0 ? `${count(row.bytes)}${row.bytes < 1000 ? " " : ""}B` : "–"}</td>
          <td data-name="Where"><code class="uri" title=${row.sha256 ? `sha256 ${row.sha256}` : "not hashed"}>${row.uri}</code> <small class="muted"><${Place} run=${of.run} row=${row} /></small></td>
          <td class="num" data-name="At">${row.axis ? `${exact(row.position)} ${row.axis}` : "–"}</td><td class="num" data-name="Written">${ago(now.value - row.ts / 1000)}</td></tr>`)}</tbody></table></div></${Panel}>`}`;
}

/** What it is on: an agent, an episode, a step. @param {{run: any, row: Row}} props */
function Place({run, row: {agent, attempt, env, episode, step}}) {
  if (!agent && !(episode >= 0)) return null;
  const said = [agent, episode >= 0 ? `episode ${exact(episode)}` : "", step >= 0 ? `step ${exact(step)}` : ""].filter(Boolean).join(", ");
  if (!agent || !(attempt > 0) || !(episode >= 0)) return html`${said} · `;
  return html`<a href=${href("/episode", {run, agent, attempt, env, episode, step: step >= 0 ? step : undefined})}>${said}</a> · `;
}

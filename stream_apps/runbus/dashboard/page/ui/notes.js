/**
 * Lists what people put on a run or an episode, lets them say more, and lists what was written in it: checkpoints, videos,
 * data sets.
 */
import {html, useEffect, useSignal} from "../lib/preact.js";
import {author, put, signAs, take} from "../lib/annotate.js";
import {ago, count, exact} from "../lib/format.js";
import {expose} from "../lib/inspect.js";
import {now} from "../lib/live.js";
import {held, rowOf} from "../lib/notes.js";
import {href} from "../lib/route.js";
import {session} from "../lib/session.js";
import {freshOf, rowsOf, useAnswer} from "./answer.js";
import {Panel} from "./panel.js";
import {say} from "./shell.js";

/** @typedef {import("../lib/channels.js").Row} Row */

const MOST_TEXT = 2000;

/** @typedef {ReturnType<typeof useAnswer>} Asked */

/** @typedef {import("../lib/annotate.js").Place} Place */
/** @typedef {import("../lib/annotate.js").What} What */
/** @typedef {import("../lib/notes.js").Change} Change */

/** When history is asked for what was just said: the sink needs about a second. */
const STORED_MS = [1500, 4000];

/** @param {{of: Place, every: number, step?: () => number}} props `of`: an episode; `step`: that under the cursor */
export function NotesOf({of, every, step}) {
  const said = useAnswer("/run/notes", {...of}, every), written = useAnswer("/run/artifacts", {...of}, every);
  return html`<${Notes} of=${of} said=${said} written=${written} step=${step} />`;
}

/**
 * @param {{of: Place, said: Asked, written: Asked, step?: () => number, open?: boolean}} props `of`: a run, or one of its
 *   episodes; `said`: `/run/notes`; `written`: `/run/artifacts`; `step`: that under the cursor; `open`: to write at once
 */
export function Notes({of, said, written, step, open = false}) {
  const mine = useSignal(/** @type {Change[]} */ ([]));
  const notes = held(rowsOf(said.answer.value), mine.value), files = rowsOf(written.answer.value);
  useEffect(() => expose("notes", () => ({notes, files})));
  /** @param {Promise<any>} asked @param {(written: any) => Change} change */
  const tell = async (asked, change) => {
    try {
      mine.value = [...mine.value, change(await asked)];
    } catch (error) {
      say(error instanceof Error ? error.message : String(error));
      return false;
    }
    for (const ms of STORED_MS) setTimeout(said.again, ms);
    return true;
  };
  const add = (/** @type {Place} */ place, /** @type {What} */ what) => tell(put(place, what), (answer) => ({row: rowOf(place, what, answer, author.peek()), removed: false}));
  const remove = (/** @type {Row} */ row) => tell(take(placeOf(of.run, row), /** @type {What} */ (row)), ({sent_at: ts}) => ({row: {...row, ts}, removed: true}));
  const write = session.value.annotates && html`<details class="take wide" open=${open}><summary>Add a note or a tag</summary><${Write} of=${of} step=${step} onSay=${add} /></details>`;
  return html`${notes.length === 0 ? write : html`<${Panel} title="Notes" class="wide" fresh=${freshOf(said)} source=${{path: "/run/notes", params: {...of}}}>
      <ul class="notes">${notes.map((row) => html`<li key=${`${row.kind} ${row.name} ${row.agent} ${row.episode} ${row.step}`}>
        <span class="label">${row.kind}</span> ${row.kind === "note" ? html`<span class="note-text">${row.text.slice(0, MOST_TEXT)}</span>` : html`<b>${row.kind === "pin" ? "" : row.name}</b>`}${" "}
        <small class="muted"><${On} run=${of.run} row=${row} /> ${row.author}, ${ago(now.value - row.ts / 1000)}</small>
        ${session.value.annotates && html` <button type="button" class="quiet small" aria-label=${`Remove the ${row.kind} ${row.kind === "note" ? row.text.slice(0, 40) : row.name}`} onClick=${() => remove(row)}>×</button>`}</li>`)}</ul>
      ${write}</${Panel}>`}
    ${files.length > 0 && html`<${Panel} title="Files" unit="references; RunBus keeps no bytes" class="wide" fresh=${freshOf(written)} source=${{path: "/run/artifacts", params: of}}>
      <div class="scroll-x" tabindex="0"><table class="cards" aria-label="Files that were written">
        <thead><tr><th>File</th><th>Type</th><th class="num">Size</th><th>Where</th><th class="num">At</th><th class="num">Written</th></tr></thead>
        <tbody>${files.map((row, i) => html`<tr key=${i}>
          <td class="name">${row.name}</td><td data-name="Type">${row.type}</td><td class="num" data-name="Size">${row.bytes >= 0 ? `${count(row.bytes)}${row.bytes < 1000 ? " " : ""}B` : "–"}</td>
          <td data-name="Where"><code class="uri" title=${row.sha256 ? `sha256 ${row.sha256}` : "not hashed"}>${row.uri}</code> <small class="muted"><${On} run=${of.run} row=${row} /></small></td>
          <td class="num" data-name="At">${row.axis ? `${exact(row.position)} ${row.axis}` : "–"}</td><td class="num" data-name="Written">${ago(now.value - row.ts / 1000)}</td></tr>`)}</tbody></table></div></${Panel}>`}`;
}

/** @param {{of: Place, step?: () => number, onSay: (place: Place, what: What) => Promise<boolean>}} props */
function Write({of, step, onSay}) {
  const text = useSignal(""), here = useSignal(false), busy = useSignal(false);
  /** @param {"note" | "tag"} kind */
  const tell = async (kind) => {
    const said = text.value.trim();
    if (!said || busy.value) return;
    busy.value = true;
    if (await onSay(step && here.value ? {...of, step: step()} : of, kind === "note" ? {kind, text: said} : {kind, name: said})) text.value = "";
    busy.value = false;
  };
  return html`<form class="write" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); void tell("note"); }}>
    <input aria-label="A note or a tag" placeholder="A note, or the name of a tag" maxlength="20000" value=${text} onInput=${(/** @type {any} */ event) => (text.value = event.currentTarget.value)} />
    <button disabled=${busy}>Add note</button> <button type="button" disabled=${busy} onClick=${() => tell("tag")}>Add tag</button>
    ${step && html`<label><input type="checkbox" checked=${here} onChange=${(/** @type {any} */ event) => (here.value = event.currentTarget.checked)} /> on the step under the cursor</label>`}
    <label>as <input class="author" aria-label="Your name" placeholder="your name" maxlength="100" value=${author} onChange=${(/** @type {any} */ event) => signAs(event.currentTarget.value)} /></label></form>`;
}

/** Where an annotation is, as it was said. @param {string} run @param {Row} row @returns {Place} */
const placeOf = (run, {agent, attempt, env, episode, step}) => ({run, agent, attempt, env, episode, step});

/** What it is on: an agent, an episode, a step. @param {{run: any, row: Row}} props */
function On({run, row: {agent, attempt, env, episode, step}}) {
  if (!agent && !(episode >= 0)) return null;
  const said = [agent, episode >= 0 ? `episode ${exact(episode)}` : "", step >= 0 ? `step ${exact(step)}` : ""].filter(Boolean).join(", ");
  if (!agent || !(attempt > 0) || !(episode >= 0)) return html`${said} · `;
  return html`<a href=${href("/episode", {run, agent, attempt, env, episode, step: step >= 0 ? step : undefined})}>${said}</a> · `;
}

/**
 * Draws the transcript of an episode as a chat of turns, and searches in it.
 */
import {html, useEffect, useLayoutEffect, useMemo, useRef, useSignal} from "../lib/preact.js";
import {exact} from "../lib/format.js";
import {expose} from "../lib/inspect.js";
import {useKeys} from "../lib/keys.js";
import {href, route} from "../lib/route.js";
import {Talk} from "../lib/talk.js";
import {firstLine} from "../lib/transcript.js";
import {Later} from "./later.js";
import {Failed} from "./states.js";
import {Take} from "./panel.js";
import {Thumb} from "./rows.js";
import {Cost, TurnView} from "./turn.js";

/** @typedef {import("./desk.js").Desk} Desk */

const MOST_TURNS = 40;
const MORE = 12;
const NEAR = 500;
const tree = () => import("./tree.js").then((module) => module.Tree);
const times = () => import("./timeline.js").then((module) => module.Times);

/** @param {{desk: Desk, view: string}} props */
export function TranscriptView({desk, view}) {
  const talk = useMemo(() => new Talk(desk.main, route.peek().params.get("q") ?? ""), []);
  useEffect(
    () => () => {
      desk.shows(null);
      talk.close();
    },
    [],
  );
  useKeys(useMemo(() => ({filter: () => document.getElementById("filter")?.focus()}), []));
  useEffect(() => expose("talk", () => said(talk)), []);
  void talk.version.value;
  if (talk.failed.value) return html`<${Failed} error=${talk.failed.value} />`;
  if (!talk.outline.entries.length) return html`<p class="note">Asking for the turns …</p>`;
  const word = talk.word.value;
  return html`
    <div class="talk-bar">
      <span class="totals-line"><b>${exact(talk.outline.turns.length)}</b> turns · <${Cost}
        totals=${talk.outline.totals} />${talk.leftOut.value > 0 && html` <span
          class="warn">${exact(talk.leftOut.value)} later steps are left out</span>`}</span>
      <span class="grow"></span>
      <${Search} desk=${desk} talk=${talk} />
      <${Take} title="Transcript" source=${{path: "/episode/steps", params: {...desk.main.id, most: 100_000}}} />
    </div>
    ${talk.everywhere.value && html`<${Everywhere} desk=${desk} talk=${talk} />`}
    ${view === "tree" || view === "time" ? html`<${Later} key=${view} load=${view === "tree" ? tree : times} desk=${desk}
      talk=${talk} />` : html`<${Chat} desk=${desk} talk=${talk} word=${word} />`}`;
}

/** @param {{desk: Desk, talk: Talk}} props */
function Search({desk, talk}) {
  const hits = talk.hits.value;
  const cursor = desk.player.cursor.value;
  const next = (/** @type {number} */ by) => {
    if (!hits?.length) return;
    const found =
      by > 0
        ? (hits.find((step) => step > cursor) ?? hits[0])
        : (hits.findLast((step) => step < cursor) ?? hits[hits.length - 1]);
    desk.player.seek(found);
  };
  return html`<form class="talk-search" role="search" onSubmit=${(/** @type {Event} */ event) => {
    event.preventDefault();
    if (talk.asked.value === talk.word.value && hits) next(1);
    else talk.search();
  }}>
    <input type="search" id="filter" placeholder="Search this transcript (/)" aria-label="Search this transcript"
      value=${talk.word.value} onInput=${(/** @type {any} */ event) => talk.say(event.currentTarget.value)} />
    ${
      hits &&
      html`<span class=${hits.length ? "muted" : "warn"}
        role="status">${hits.length ? `${hits.filter((step) => step <= cursor).length} of ${exact(hits.length)}${talk.more.value ? "+" : ""}` : `not found in ${exact(talk.searched.value.steps)} steps`}</span>
      <button type="button" aria-label="Hit before" disabled=${!hits.length} onClick=${() => next(-1)}>↑</button>
        <button type="button" aria-label="Next hit" disabled=${!hits.length} onClick=${() => next(1)}>↓</button>`
    }
    ${talk.trouble.value && html`<span class="warn" role="status">${talk.trouble.value}</span>`}
    <button type="button" title="Search in all transcripts of this run" disabled=${!talk.word.value}
      onClick=${() => talk.searchAll()}>In all</button></form>`;
}

/** Hits in all transcripts of the run. @param {{desk: Desk, talk: Talk}} props */
function Everywhere({desk, talk}) {
  const rows = talk.everywhere.value ?? [];
  return html`<section class="panel everywhere" aria-label="Hits in all transcripts"><header>
    <h2>"${talk.asked.value}" in all transcripts of ${desk.main.id.run} <span class="unit">${exact(rows.length)} hits in ${exact(talk.searched.value.steps)} steps of ${exact(talk.searched.value.episodes)} episodes</span></h2>
      <span class="grow"></span>
      <button type="button" onClick=${() => (talk.everywhere.value = null)}>Close</button></header>
    <div class="body">${
      rows.length === 0
        ? html`<p class="muted">Nothing was found.</p>`
        : html`<ul>${rows.map(
            (row) => html`<li key=${`${row.agent}/${row.attempt}/${row.env}/${row.episode}/${row.step}`}>
      <a href=${href("/episode", {run: desk.main.id.run, agent: row.agent, attempt: row.attempt, env: row.env, episode: row.episode, step: row.step, q: talk.asked.value})}>${row.agent} · episode ${row.episode} · #${row.step}</a> <span
        class="muted">${firstLine(row.text, 140)}</span></li>`,
          )}</ul>`
    }</div></section>`;
}

/**
 * The turns, windowed by index: some 40 of them are in the page; nearing an end of these shifts the window.
 * @param {{desk: Desk, talk: Talk, word: string}} props
 */
function Chat({desk, talk, word}) {
  const {outline} = talk;
  const root = useRef(/** @type {HTMLElement | null} */ (null));
  const anchor = useRef(/** @type {{turn: number, top: number} | null} */ (null));
  const cursorTurn = outline.turnAt(desk.player.cursor.value);
  const from = useSignal(Math.max(0, cursorTurn - 4));
  const turns = outline.turns.length;
  const first = Math.max(0, Math.min(from.value, turns - 1));
  const to = Math.min(turns, first + MOST_TURNS);
  const shift = (/** @type {number} */ by) => {
    const next = Math.max(0, Math.min(turns - MOST_TURNS, first + by));
    const kept = root.current?.querySelector(`[data-turn="${by > 0 ? Math.max(first, next) : first}"]`);
    if (next === first || !(kept instanceof HTMLElement)) return;
    anchor.current = {turn: Number(kept.dataset["turn"]), top: kept.offsetTop};
    from.value = next;
  };
  const scrolled = () => {
    const at = root.current;
    if (!at || anchor.current) return;
    if (at.scrollTop + at.clientHeight > at.scrollHeight - NEAR && to < turns) shift(MORE);
    else if (at.scrollTop < NEAR && first > 0) shift(-MORE);
  };
  // what stays in the page stays where it was seen; another place of the list begins at its top
  useLayoutEffect(() => {
    const held = anchor.current;
    const kept = held && root.current?.querySelector(`[data-turn="${held.turn}"]`);
    if (root.current) root.current.scrollTop = kept instanceof HTMLElement ? root.current.scrollTop + kept.offsetTop - (held?.top ?? 0) : 0;
    anchor.current = null;
  }, [first]);
  useLayoutEffect(() => {
    if (cursorTurn < first || cursorTurn >= to) from.value = Math.max(0, cursorTurn - 4);
  }, [cursorTurn]);
  useLayoutEffect(() => {
    const here = root.current?.querySelector(`[data-turn="${cursorTurn}"]`);
    if (here instanceof HTMLElement && root.current) show(root.current, here);
  }, [cursorTurn, cursorTurn >= first && cursorTurn < to]);
  useEffect(() => desk.shows(stepsOf(talk, first, to)), [first, to]);
  void desk.main.version.value;
  const cursor = desk.player.cursor.value;
  return html`<div class="chat"><div class="chat-body" ref=${root} onScroll=${scrolled} tabindex="0" role="feed" aria-label="Turns"
    aria-busy="false">
      ${outline.turns.slice(first, to).map(
        (
          turn,
          i,
        ) => html`<${TurnView} key=${first + i} index=${first + i} turn=${turn} entries=${outline.entries}
          stepOf=${(/** @type {number} */ step) => desk.main.cache.get(step)}
        cursor=${first + i === cursorTurn ? cursor : -1} word=${talk.asked.value ? word : ""} raw=${desk.raw.value}
          go=${(/** @type {number} */ step) => desk.player.seek(step)} />`,
      )}
      ${to === turns && desk.main.about.value && !desk.main.about.value.finalised && html`<p
        class="note">This episode goes on: what comes is put behind.</p>`}
    </div>
    ${turns > MOST_TURNS && html`<${Thumb} most=${turns - MOST_TURNS} top=${from} label="the turns" />`}</div>`;
}

/** Scroll so that a turn is seen, with something above it. @param {HTMLElement} root @param {HTMLElement} turn */
function show(root, turn) {
  const top = turn.offsetTop;
  if (top < root.scrollTop || top + Math.min(turn.offsetHeight, root.clientHeight) > root.scrollTop + root.clientHeight)
    root.scrollTop = Math.max(0, top - 60);
}

/** The steps of some turns. @param {Talk} talk @param {number} from @param {number} to */
function stepsOf({outline}, from, to) {
  const steps = outline.turns
    .slice(from, to)
    .flatMap((turn) => turn.entries.map((place) => outline.entries[place].step));
  return steps.length ? {from: Math.min(...steps), to: Math.max(...steps)} : null;
}

/** What tests read. @param {Talk} talk */
function said({outline, hits, everywhere}) {
  return {
    turns: outline.turns.length,
    entries: outline.entries.length,
    totals: outline.totals,
    hits: hits.peek(),
    everywhere: everywhere.peek(),
  };
}

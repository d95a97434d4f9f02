/**
 * The page Episode: one episode under one cursor, step by step, while it runs and long after.
 */
import {html, useEffect, useMemo} from "../lib/preact.js";
import {exact, number} from "../lib/format.js";
import {besideOf, idOf} from "../lib/identity.js";
import {expose} from "../lib/inspect.js";
import {useKeys} from "../lib/keys.js";
import {href, route, set} from "../lib/route.js";
import {Desk} from "../ui/desk.js";
import {Later} from "../ui/later.js";
import {Scrub} from "../ui/scrub.js";
import {say} from "../ui/shell.js";
import {State} from "../ui/state.js";
import {Failed, Problem} from "../ui/states.js";

/** @typedef {import("../lib/source.js").EpisodeId} EpisodeId */

const VIEWS = [
  ["chat", "Chat"],
  ["tree", "Tree"],
  ["time", "Time line"],
  ["steps", "Steps"],
];

const NOTES_MS = 30_000;
const steps = () => import("../ui/steps.js").then((module) => module.StepsView);
const scores = () => import("../ui/episode-scores.js").then((module) => module.EpisodeScores);
const notes = () => import("../ui/notes.js").then((module) => module.NotesOf);
const transcript = () => import("../ui/transcript.js").then((module) => module.TranscriptView);

export default function Episode() {
  const {params} = route.value;
  const id = idOf(params);
  if (!id)
    return html`<${Problem} title="This address names no episode"
      todo="It needs run, agent, attempt and episode. Open one from its run." ><a href="/">All runs</a></${Problem}>`;
  const beside = besideOf(params.get("with"), id.run);
  return html`<${Open} key=${JSON.stringify([id, beside])} id=${id} beside=${beside} />`;
}

/** @param {{id: EpisodeId, beside: EpisodeId | null}} props */
function Open({id, beside}) {
  const desk = useMemo(() => new Desk(id, beside), []);
  useEffect(() => () => desk.close(), []);
  useEffect(() => expose("episode", () => inspected(desk)), []);
  useKeys(useMemo(() => desk.keys(), []));
  const {main, player} = desk;
  const about = main.about.value;
  const said = useMemo(() => () => desk.said(), []);
  const running = !(about?.finalised || about?.terminated || about?.truncated);
  if (!about && main.last.value < 0) {
    return main.failed.value
      ? html`<${Failed} error=${main.failed.value}
        link=${(/** @type {string} */ near) => href("/episode", {...id, episode: near})} />`
      : html`<p class="note">Asking for the episode …</p>`;
  }
  const talks = [...(about?.layouts?.actions ?? []), ...(about?.layouts?.observations ?? [])].some(
    (layout) => layout.dtype === "text" || layout.dtype === "json",
  );
  const view = route.value.params.get("view") ?? (talks && !beside ? "chat" : "steps");
  const failed = desk.sources
    .map((source) => source.pager.failed.value ?? (source.about.value ? null : source.failed.value))
    .find(Boolean);
  return html`<div class="episode">
    <${Head} desk=${desk} running=${running} />
    <${Scrub} player=${player} overview=${desk.overview.value} window=${view === "steps" ? desk.window.value : null}
      running=${running || player.follows.value}
      said=${said} before=${about?.previous >= 0 ? () => desk.episode(-1) : undefined}
        after=${about?.next >= 0 ? () => desk.episode(1) : undefined}
      jumps=${[
        {name: "Reward", key: "n", go: () => desk.jump("reward", 1)},
        {name: "Largest", key: "m", go: () => desk.largest()},
        {name: "Action", key: "a", go: () => desk.jump("action", 1)},
        {name: "Error", key: "e", go: () => desk.jump("error", 1)},
      ]} />
    ${failed && html`<${Failed} error=${failed} />`}
    ${talks && html`<div class="view-switch" role="group"
      aria-label="View">${VIEWS.map(([name, title]) => html`<button type="button" key=${name} aria-pressed=${view === name}
        onClick=${() => set({view: name})}>${title}</button>`)}</div>`}
    <${Later} key=${view === "steps"} load=${view === "steps" ? steps : transcript} desk=${desk} view=${view} /></div>`;
}

/** @param {{desk: Desk, running: boolean}} props */
function Head({desk, running}) {
  const {id} = desk.main;
  const about = desk.main.about.value;
  const beside = desk.sources[1]?.id;
  const labels = Object.entries(about?.labels ?? {});
  return html`<header class="episode-head">
    <h1><a href=${href("/run", {run: id.run})}>${id.run}</a> <${Slash} /> ${id.agent} <${Slash} /> episode ${exact(id.episode)}
      ${id.env > 0 && html` <span class="muted">env ${id.env}</span>`}
      ${beside && html` <span class="muted">with</span> ${beside.run === id.run ? "" : html`${beside.run} <${Slash} /> `}${beside.agent} <${Slash} /> episode ${exact(beside.episode)}`}</h1>
    <dl class="episode-summary">
      <div><dt>Return</dt><dd>${returned(about)}</dd></div>
      <div><dt>Length</dt><dd>${exact(about?.finalised ? about.length : desk.main.last.value)} <small>steps</small></dd></div>
      <div><dt>Ended</dt><dd>
        ${running ? html`<${State} state="running" />` : about?.reason || (about?.terminated ? "terminated" : "truncated")}
        ${about?.stop && html` <small>${about.stop}</small>`}</dd></div>
      <div><dt>Arrived</dt><dd><${Arrived} about=${about} /></dd></div>
      ${(about?.revision ?? 0) > 0 && html`<div><dt>Revision</dt><dd>${about?.revision}</dd></div>`}
      ${about?.seed && html`<div><dt>Seed</dt><dd>${about.seed}</dd></div>`}
      ${about?.last_tick >= 0 && html`<div><dt>World</dt><dd>
        <a href=${href("/world", {run: id.run, env: id.env, episode: id.episode, tick: desk.player.cursor.peek()})}>all agents</a>
          </dd></div>`}
      ${desk.sources.length > 1 && html`<div><dt>First difference</dt><dd><${Differs} desk=${desk} /></dd></div>`}
    </dl>
    <div class="head-line">${labels.length > 0 && html`<p
      class="labels">${labels.map(([name, value]) => html`<span class="label"
        key=${name}>${name}: ${value}</span>`)}</p>`}<${Beside} desk=${desk} /></div>
    <${Later} load=${scores} id=${id} />
    <${Later} load=${notes} of=${id} every=${NOTES_MS} step=${() => desk.player.cursor.peek()} />
  </header>`;
}

/** Puts another episode beside this one, or takes it away. @param {{desk: Desk}} props */
function Beside({desk}) {
  const {agent, attempt, env, episode} = desk.main.id;
  const about = desk.main.about.value;
  if (desk.sources.length > 1)
    return html`<p class="beside"><button type="button"
      onClick=${() => set({with: null})}>Only ${agent}, episode ${episode}</button></p>`;
  const put = (/** @type {number} */ other) => set({with: `${agent}/${attempt}/${env}/${other}`, view: "steps"});
  const named = (/** @type {any} */ event) => {
    event.preventDefault();
    const text = event.currentTarget.elements.other.value.trim();
    if (besideOf(text, desk.main.id.run)) set({with: text, view: "steps"});
    else say("Write it as agent/attempt/env/episode, with a run in front if it is another one");
  };
  return html`<details class="beside"><summary>Put another episode beside it</summary><span class="options">
    ${about?.previous >= 0 && html`<button type="button" onClick=${() => put(about?.previous)}>the one before</button>`}
    ${about?.next >= 0 && html`<button type="button" onClick=${() => put(about?.next)}>the next one</button>`}
    <form onSubmit=${named}><input name="other" aria-label="Another episode" placeholder="agent/attempt/env/episode" />
      <button>Beside</button></form></span></details>`;
}

/** The return of an episode, in words where it is no number. @param {Record<string, any> | null} about */
function returned(about) {
  const value = about?.finalised ? about.return : about?.stored_return;
  return about && value === null ? "not finite" : number(value);
}

const Slash = () => html`<span class="muted">/</span>`;

/** Whether all steps came. @param {{about: Record<string, any> | null}} props */
function Arrived({about}) {
  if (!about?.finalised) return html`<span class="muted">not final yet</span>`;
  if (about.complete) return html`<span class="ok">complete</span>`;
  /** @type {number[][]} first and last seq of each hole */
  const missing = about.missing;
  const most = missing.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  const where = `seq ${missing.map((hole) => hole.join("–")).join(", ")}`;
  return html`<span class="bad" title=${where}>${exact(most)} at most missing</span>`;
}

/** @param {{desk: Desk}} props */
function Differs({desk}) {
  const found = desk.differs.value;
  if (found === undefined) return html`<span class="muted">looking …</span>`;
  if (found === null) return html`<span class="ok">none</span>`;
  return html`<button type="button" onClick=${() => desk.player.seek(found.step)}>step ${exact(found.step)}</button> <small>${found.fields.join(", ")}</small>`;
}

/** What tests read. @param {Desk} desk */
function inspected(desk) {
  const cursor = desk.player.cursor.peek();
  return {
    cursor,
    extent: desk.player.extent.peek(),
    window: desk.window.peek(),
    playing: desk.player.playing.peek(),
    follows: desk.player.follows.peek(),
    speed: desk.player.state.peek().speed,
    step: desk.main.cache.get(cursor) ?? null,
    state: desk.main.cache.stateOf(cursor),
    asked: desk.main.pager.asked,
    about: desk.main.about.peek(),
    holes: desk.main.cache.holes(desk.window.peek().from, desk.window.peek().to),
    differs: desk.differs.peek(),
    other: desk.sources[1]?.cache.get(cursor) ?? null,
    held: [...desk.main.cache.pages.keys()],
  };
}

/**
 * The page World: all agents of one episode as lanes on the ticks of their world, under one cursor.
 */
import {html, computed, effect, signal, useEffect, useMemo} from "../lib/preact.js";
import {COLOURS, look} from "../lib/colour.js";
import {windowAround} from "../lib/episode.js";
import {exact, number} from "../lib/format.js";
import {expose} from "../lib/inspect.js";
import {useKeys} from "../lib/keys.js";
import {actionLanes} from "../lib/observation.js";
import {href, route, set} from "../lib/route.js";
import {rangeOf} from "../lib/spread.js";
import {World} from "../lib/world.js";
import {Recorded} from "../ui/canvas.js";
import {ink} from "../ui/ink.js";
import {Player} from "../ui/player.js";
import {Scrub} from "../ui/scrub.js";
import {Failed, Problem} from "../ui/states.js";
import {drawHoles} from "../ui/paint.js";
import {Axis, drawCurve, drawLanes, Lane, Lanes, LanesPanel} from "../ui/strip.js";

const PIXELS = 5;
const ADDRESS_MS = 300;

export default function WorldPage() {
  const {params} = route.value;
  const [run, env, episode] = [
    params.get("run") ?? "",
    Number(params.get("env") ?? 0),
    Number(params.get("episode") ?? Number.NaN),
  ];
  if (!run || !(episode >= 0) || !(env >= 0))
    return html`<${Problem} title="This address names no world"
      todo="It needs run and episode. Open one from an episode of its agents."><a href="/">All runs</a></${Problem}>`;
  return html`<${Open} key=${`${run}/${env}/${episode}`} id=${{run, env, episode}} />`;
}

/** The cursor, the window and the address of an open world. */
class Board {
  /** @param {import("../lib/world.js").WorldId} id */
  constructor(id) {
    const tick = Number.parseInt(route.peek().params.get("tick") ?? "0", 10) || 0;
    this.world = new World(id);
    this.player = new Player(tick);
    this.wide = signal(800);
    this.scale = signal(PIXELS);
    this.room = computed(() => Math.max(8, Math.floor(this.wide.value / this.scale.value)));
    this.window = signal({from: 0, to: 0});
    this.writing = 0;
    this.ends = [
      effect(() =>
        this.player.reaches(
          this.world.last.value < 0
            ? {first: 0, last: tick}
            : {first: this.world.first.value, last: this.world.last.value},
        ),
      ),
      effect(() => {
        this.window.value = windowAround(
          this.window.peek(),
          this.player.cursor.value,
          this.room.value,
          this.player.extent.value,
        );
      }),
      effect(() => this.need()),
      effect(() => this.write(this.player.cursor.value)),
    ];
  }

  need() {
    const [cursor, {from, to}, dragging, last] = [
      this.player.cursor.value,
      this.window.value,
      this.player.dragging.value,
      this.world.last.value,
    ];
    if (last >= 0)
      this.world.pager.need(
        {
          cursor,
          from,
          to: Math.min(to, last),
          direction: this.player.direction,
          ahead: 1,
          first: this.world.first.value,
          last,
        },
        dragging,
      );
  }

  /** @param {number} tick */
  write(tick) {
    clearTimeout(this.writing);
    if (this.world.last.peek() >= 0) this.writing = window.setTimeout(() => set({tick}, {replace: true}), ADDRESS_MS);
  }

  /** @param {number} by 1 = ticks twice as wide, -1 = half as wide */
  zoom(by) {
    this.scale.value = Math.max(1, Math.min(80, this.scale.peek() * 2 ** by));
  }

  keys() {
    const {player} = this;
    return {
      play: () => player.toggle(),
      step: () => player.move(1),
      back: () => player.move(-1),
      "step-10": () => player.move(10),
      "back-10": () => player.move(-10),
      first: () => player.seek(player.extent.peek().first),
      end: () => player.seek(player.extent.peek().last),
      faster: () => player.faster(1),
      slower: () => player.faster(-1),
      follow: () => player.follow(),
      "undo-zoom": () => (this.scale.value = PIXELS),
    };
  }

  close() {
    clearTimeout(this.writing);
    for (const end of this.ends) end();
    this.world.close();
    this.player.close();
  }
}

/** @param {{id: import("../lib/world.js").WorldId}} props */
function Open({id}) {
  const board = useMemo(() => new Board(id), []);
  const {world, player} = board;
  useEffect(() => () => board.close(), []);
  useEffect(() => expose("world", () => inspected(board)), []);
  useKeys(useMemo(() => board.keys(), []));
  const members = world.members.value;
  if (!members.length)
    return world.failed.value
      ? html`<${Failed} error=${world.failed.value} />`
      : html`<p class="note">Asking for the world …</p>`;
  const running = world.running();
  const failed = world.pager.failed.value;
  const {from, to} = board.window.value;
  const fresh = {newest: running ? Math.max(...members.map((member) => member.newest_ts)) : undefined, askedAt: world.fresh.value};
  return html`<div class="episode">
    <header class="episode-head"><h1><a href=${href("/run", {run: id.run})}>${id.run}</a> <span
      class="muted">/ world, episode</span> ${exact(id.episode)}${id.env > 0 && html` <span
        class="muted">env ${id.env}</span>`}</h1>
      <dl class="episode-summary"><div><dt>Agents</dt><dd>${exact(members.length)}</dd></div><div><dt>Team return</dt>
        <dd>${number(members.reduce((sum, member) => sum + member.stored_return, 0))}</dd></div>
        <div><dt>Ticks</dt><dd>${exact(world.last.value)}</dd></div>
        <div><dt>State</dt><dd>${running ? html`<span class="state running"><span class="dot">
          </span>running</span> <small>as stored, a second or two behind</small>` : "ended"}</dd></div></dl></header>
    <${Scrub} player=${player} unit="tick" window=${null} running=${running} />
    ${failed && html`<${Failed} error=${failed} />`}
    <div class="steps-view">
      <${LanesPanel} wide=${board.wide} title="Agents" unit=${`ticks ${exact(from)} to ${exact(to)}`} fresh=${fresh}
        source=${{path: "/world/steps", params: {...id, from, to}}}>
        <${Lanes} window=${board.window.value} cursor=${player.cursor} seek=${(/** @type {number} */ tick) => player.seek(tick)}>
          ${members.map((member) => html`<${AgentLanes} key=${member.agent} board=${board} member=${member} />`)}
          <${Axis} window=${board.window.value} unit="tick" zoom=${(/** @type {number} */ by) => board.zoom(by)} />
        </${Lanes}>
      </${LanesPanel}>
      <div class="step-grid">${members.map((member) => html`<${AgentNow} key=${member.agent} board=${board}
        member=${member} />`)}</div></div></div>`;
}

/** @param {{board: Board, member: import("../lib/world.js").Member}} props */
function AgentLanes({board, member}) {
  const {from, to} = board.window.value;
  const version = board.world.version.value;
  const cache = board.world.cache(member.agent);
  const all = useMemo(() => {
    const steps = Array.from({length: to - from + 1}, (_, i) => cache.get(from + i));
    const [first, last] = [Math.max(from, member.first_tick), Math.min(to, member.last_tick)];
    return {
      steps,
      holes: cache.holes(first, last),
      lanes: actionLanes(
        steps.map((step) => step?.action ?? null),
        [],
      ),
    };
  }, [from, to, version, member.last_tick]);
  const rewards = all.steps.map((step) => (step ? step.reward : undefined));
  const here = cache.get(board.player.cursor.value);
  const holes = (/** @type {any} */ pen, /** @type {number} */ width, /** @type {number} */ height) =>
    drawHoles(pen, {from, to}, width, height, all.holes, ink("--bad"));
  return html`<div class="lane-head"><i class="swatch" style=${{background: `var(${look(member.agent).colour})`}}>
    </i>${member.agent} <span class="muted">return ${number(member.stored_return)}${member.last_tick < board.world.last.value ? `, left at tick ${exact(member.last_tick)}` : ""}</span></div>
    <${Lane} name="reward" height=${40} deps=${[all]}
      value=${html`<span class="lane-value">${here ? number(here.reward) : ""}</span>`}
      draw=${(/** @type {any} */ pen, /** @type {number} */ width, /** @type {number} */ height) => {
        drawCurve(pen, width, height, {
          values: rewards,
          colour: ink(look(member.agent).colour),
          ...rangeOf(rewards, true),
          join: false,
          steps: true,
        });
        holes(pen, width, height);
      }} />
    ${
      all.lanes &&
      html`<${Lane} name="action" height=${Math.max(20, Math.min(90, all.lanes.labels.length * 12))} deps=${[all]}
        value=${html`<span class="lane-value">${here ? number(here.action.numbers?.[0]) : ""}</span>`}
      draw=${(/** @type {any} */ pen, /** @type {number} */ width, /** @type {number} */ height) => {
        if (all.lanes) drawLanes(pen, width, height, all.lanes, COLOURS.map(ink));
        holes(pen, width, height);
      }} />`
    }`;
}

/** @param {{board: Board, member: import("../lib/world.js").Member}} props */
function AgentNow({board, member}) {
  void board.world.version.value;
  const tick = board.player.cursor.value;
  const cache = board.world.cache(member.agent);
  const step = cache.get(tick);
  const {id} = board.world;
  return html`<section class="panel step-now" aria-label=${`${member.agent} at the cursor`}><header><h2>
    <i class="swatch" style=${{background: `var(${look(member.agent).colour})`}}></i>${member.agent}</h2><span class="grow"></span>
      <a href=${href("/episode", {run: id.run, agent: member.agent, attempt: member.attempt, env: id.env, episode: id.episode, step: tick})}>open</a></header>
    <div class="body">${step ? html`<${Recorded} value=${step.observation} />` : html`<p
      class="muted">${tick > member.last_tick ? `left at tick ${exact(member.last_tick)}` : tick < member.first_tick ? `joined at tick ${exact(member.first_tick)}` : cache.stateOf(tick) === "lost" ? "this step never arrived" : "loading …"}</p>`}</div>
        </section>`;
}

/** What tests read. @param {Board} board */
function inspected({world, player}) {
  const tick = player.cursor.peek();
  return {
    tick,
    extent: player.extent.peek(),
    asked: world.pager.asked,
    agents: Object.fromEntries(world.members.peek().map(({agent}) => [agent, world.cache(agent).get(tick) ?? null])),
  };
}

/**
 * Holds an open episode together: its steps, the cursor, the window that is drawn, the address, and where the keys go.
 * With a second episode beside it, both have the one cursor.
 */
import {get} from "../lib/api.js";
import {windowAround} from "../lib/episode.js";
import {number} from "../lib/format.js";
import {UNHEARD} from "../lib/live.js";
import {find} from "../lib/jump.js";
import {computed, effect, signal} from "../lib/preact.js";
import {route, set} from "../lib/route.js";
import {Source} from "../lib/source.js";
import {overviewOf} from "../lib/overview.js";
import {Player} from "./player.js";
import {say} from "./shell.js";

/** @typedef {import("../lib/source.js").EpisodeId} EpisodeId */

const ADDRESS_MS = 300;
const BINS = 1000;
const PIXELS = 5;
const WORDS = {reward: "reward", error: "error", action: "change of the action"};

/** @param {string} text @returns {Record<string, unknown>} */
function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

export class Desk {
  /** @param {EpisodeId} id @param {EpisodeId | null} beside */
  constructor(id, beside) {
    const params = route.peek().params;
    const asked = params.get("step");
    this.sources = [new Source(id, true), ...(beside ? [new Source(beside, false)] : [])];
    this.main = this.sources[0];
    this.player = new Player(Math.max(0, Number.parseInt(asked ?? "0", 10) || 0));
    /** Width of the lanes and of a step in pixels, steps that there is room for, and those that are shown. */
    this.wide = signal(800);
    this.scale = signal(PIXELS);
    this.room = computed(() => Math.max(8, Math.floor(this.wide.value / this.scale.value)));
    this.window = signal({from: 0, to: 0});
    /** Steps that another view than the lanes shows, for example the turns that are seen. */
    this.visible = signal(/** @type {{from: number, to: number} | null} */ (null));
    /** The rewards of the whole episode, in bins. */
    this.overview = signal(/** @type {import("./scrub.js").Overview | null} */ (null));
    this.config = signal(/** @type {Record<string, unknown>} */ ({}));
    this.raw = signal(false);
    this.table = signal(false);
    /** Where the two first differ; null = nowhere, undefined = not known yet. */
    this.differs = signal(/** @type {{step: number, fields: string[]} | null | undefined} */ (undefined));
    this.first = computed(() => (this.main.about.value && !this.main.about.value.has_reset ? 1 : 0));
    this.last = computed(() => Math.max(0, ...this.sources.map((source) => source.last.value)));
    this.written = asked;
    this.writing = 0;
    this.surveyed = -1;
    this.ends = this.effects();
    if (asked === null && params.get("live") !== "0") this.begin();
    if (beside) this.ends.push(effect(() => void this.compare()));
  }

  /** What follows from what; each returned function ends one. */
  effects() {
    return [
      effect(() => this.player.reaches({first: this.first.value, last: this.reach()})),
      effect(() => {
        const [cursor, room, extent] = [this.player.cursor.value, this.room.value, this.player.extent.value];
        this.window.value = windowAround(this.window.peek(), cursor, room, extent);
      }),
      effect(() => this.need()),
      effect(() => this.write(this.player.cursor.value)),
      effect(() => this.read(route.value.params.get("step"))),
      effect(() => this.learn(this.main.about.value?.last_step ?? -1)),
    ];
  }

  /** The last step that the cursor may go to; before any is known it stays where the address says. */
  reach() {
    const known = this.main.about.value || this.main.last.value >= 0;
    return known ? this.last.value : Math.max(this.last.value, this.player.cursor.peek());
  }

  /** Ask for what is drawn of the whole episode, again when it has grown by a tenth or has ended. @param {number} last */
  learn(last) {
    if (last < 0 || last === this.surveyed || (last <= this.surveyed * 1.1 && !this.main.over)) return;
    if (this.surveyed < 0) this.describe();
    this.surveyed = last;
    this.survey(last);
  }

  /** The configuration of the stream has names for what is numbers in the steps. */
  async describe() {
    const {run, agent, attempt} = this.main.id;
    const answer = await get("/run", {run}).catch(() => null);
    const at = answer?.columns.agent.findIndex(
      (/** @type {string} */ name, /** @type {number} */ i) => name === agent && answer.columns.attempt[i] === attempt,
    );
    if (at >= 0) this.config.value = parsed(answer.columns.config[at]);
  }

  /** @param {number} last */
  async survey(last) {
    const width = Math.max(1, 2 ** Math.ceil(Math.log2((last + 1) / BINS)));
    const answer = await get("/episode/bins", {...this.main.id, width}).catch(() => null);
    if (answer) this.overview.value = overviewOf(answer.columns, width, this.first.peek(), last);
  }

  /** @param {number} by 1 = steps twice as wide, -1 = half as wide */
  zoom(by) {
    this.scale.value = Math.max(1, Math.min(80, this.scale.peek() * 2 ** by));
  }

  /** Say which steps another view shows; null = the lanes do. @param {{from: number, to: number} | null} steps */
  shows(steps) {
    const held = this.visible.peek();
    if (held?.from !== steps?.from || held?.to !== steps?.to) this.visible.value = steps;
  }

  /** Without a step in the address, an episode that runs is shown at its newest step. */
  begin() {
    let decided = false;
    this.ends.push(
      effect(() => {
        const about = this.main.about.value;
        if (decided || (!about && this.main.last.value < 0)) return;
        decided = true;
        if (!about || !(about.finalised || about.terminated || about.truncated)) this.player.follow();
      }),
    );
  }

  need() {
    const [cursor, {from, to}, dragging] = [
      this.player.cursor.value,
      this.visible.value ?? this.window.value,
      this.player.dragging.value,
    ];
    const {speed, since} = this.player.state.value;
    for (const source of this.sources) {
      const last = source.last.value;
      if (last < 0) continue;
      const ahead = since === null ? 1 : Math.min(4, 1 + Math.ceil((speed * 2) / source.cache.size));
      source.pager.need(
        {
          cursor: Math.min(cursor, last),
          from: Math.min(from, last),
          to: Math.min(to, last),
          direction: this.player.direction,
          ahead,
          first: 0,
          last,
        },
        dragging,
      );
    }
  }

  /** Keep the step in the address, without a new entry. @param {number} step */
  write(step) {
    clearTimeout(this.writing);
    if (this.main.last.peek() < 0) return;
    this.writing = window.setTimeout(() => {
      const text = this.player.follows.peek() ? null : String(step);
      this.written = text;
      set({step: text}, {replace: true});
    }, ADDRESS_MS);
  }

  /** Follow the browser's back and forward. @param {string | null} text */
  read(text) {
    if (text === this.written || text === null) return;
    this.written = text;
    this.player.seek(Number.parseInt(text, 10) || 0);
  }

  /**
   * Go to the next reward, error or change of the action; among the steps that are here at once, beyond them by the server.
   * @param {import("../lib/jump.js").Wanted} wanted
   * @param {1 | -1} by
   */
  async jump(wanted, by) {
    const found = find(this.main.cache, this.player.cursor.peek(), by, wanted, this.player.extent.peek());
    const step =
      found && "ask" in found
        ? await this.ask(by > 0 ? `next_${wanted}` : `previous_${wanted}`, found.ask)
        : found?.step;
    if (step === undefined)
      say(`No ${WORDS[wanted]} ${by > 0 ? "behind" : "before"} step ${this.player.cursor.peek()}`);
    else if (step !== null) this.player.seek(step);
  }

  async largest() {
    const step = await this.ask("largest_reward", 0);
    if (step === undefined) say("No step of this episode has a reward");
    else if (step !== null) this.player.seek(step);
  }

  /**
   * The step that the server finds; undefined = there is none, null = it did not answer.
   * @param {string} kind
   * @param {number} from
   */
  async ask(kind, from) {
    try {
      return /** @type {number | undefined} */ (
        (await get("/episode/jump", {...this.main.id, kind, from})).columns.step[0]
      );
    } catch (error) {
      say(error instanceof Error ? error.message : String(error));
      return null;
    }
  }

  /** Ask where the two first differ, once both are known, and again as long as one of them grows without a difference. */
  async compare() {
    const [a, b] = this.sources;
    if (!a.about.value || !b.about.value || this.differs.peek()) return;
    const {run, agent, attempt, env, episode} = b.id;
    const other = {with_run: run, with_agent: agent, with_attempt: attempt, with_env: env, with_episode: episode};
    const answer = await get("/episode/difference", {...a.id, ...other}).catch(() => null);
    if (!answer) return;
    const {columns} = answer;
    const fields = ["action", "observation", "reward", "terminated", "truncated"].filter((name) => columns[name][0]);
    if (answer.rows)
      this.differs.value = {step: columns.step[0], fields: columns.alone[0] ? ["only one has it"] : fields};
    else if (a.over && b.over) this.differs.value = null;
  }

  /** @param {number} by @param {import("../lib/route.js").Changes} [more] */
  episode(by, more = {}) {
    const about = this.main.about.peek();
    const next = by > 0 ? about?.next : about?.previous;
    if (next === undefined || next === null || next < 0)
      say(by > 0 ? "There is no later episode of this env" : "There is no earlier episode of this env");
    else set({episode: next, step: null, ...more});
  }

  /** What the keys do here. @returns {import("../lib/keys.js").Actions} */
  keys() {
    const {player} = this;
    return {
      play: () => player.toggle(),
      step: () => player.move(1),
      back: () => player.move(-1),
      "step-10": () => player.move(10),
      "back-10": () => player.move(-10),
      "next-episode": () => this.episode(1),
      "last-episode": () => this.episode(-1),
      first: () => player.seek(0),
      end: () => player.seek(this.player.extent.peek().last),
      faster: () => player.faster(1),
      slower: () => player.faster(-1),
      "next-reward": () => this.jump("reward", 1),
      "last-reward": () => this.jump("reward", -1),
      largest: () => this.largest(),
      "next-error": () => this.jump("error", 1),
      "next-action": () => this.jump("action", 1),
      follow: () => player.follow(),
      raw: () => (this.raw.value = !this.raw.value),
      table: () => (this.table.value = !this.table.value),
      "undo-zoom": () => (this.scale.value = PIXELS),
    };
  }

  /** How fresh what is seen is: of an episode that runs, when its newest step was; grey while nothing is heard. */
  fresh() {
    const {about, live, last, cache} = this.main;
    if (about.value?.finalised) return {askedAt: about.value.fresh.asked_at};
    void this.main.version.value;
    const why = live ? UNHEARD[live.state.value] : undefined;
    return {newest: cache.get(last.value)?.ts ?? about.value?.last_ts, askedAt: about.value?.fresh.asked_at, stale: Boolean(why), why};
  }

  /** The step under the cursor in a few words. */
  said() {
    const here = this.main.cache.get(this.player.cursor.value);
    void this.main.version.value;
    if (!here) return this.main.cache.stateOf(this.player.cursor.value);
    return `reward ${here.reward === null ? "not a number" : number(here.reward)}`;
  }

  close() {
    clearTimeout(this.writing);
    for (const end of this.ends) end();
    for (const source of this.sources) source.close();
    this.player.close();
  }
}

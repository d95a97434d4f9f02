/**
 * Brings the steps of all agents of a world, by its ticks.
 */
import {bytes, get} from "./api.js";
import {readColumns} from "./columns.js";
import {StepCache} from "./episode.js";
import {Pager} from "./pager.js";
import {signal} from "./preact.js";
import {stepsOf} from "./steps.js";

/** @typedef {{run: string, env: number, episode: number}} WorldId */
/** @typedef {import("./episode.js").Step} Step */
/** @typedef {{agent: string, attempt: number, first_tick: number, last_tick: number, stored_return: number, terminated: boolean, truncated: boolean, newest_ts: number}} Member */

const LOOK_MS = 2000;
/** The agents of a world are stored one after the other: one that has just ended may still get one. Microseconds. */
const SETTLES_US = 30_000_000;
const TICKS = 128;
const MOST = 100_000;

export class World {
  /** @param {WorldId} id */
  constructor(id) {
    this.id = id;
    this.members = signal(/** @type {Member[]} */ ([]));
    this.fresh = signal(0);
    this.failed = signal(/** @type {unknown} */ (null));
    this.version = signal(0);
    /** The first tick of any agent, and the last one. */
    this.first = signal(0);
    this.last = signal(-1);
    /** Steps of each agent, by tick. @type {Map<string, StepCache>} */
    this.caches = new Map();
    this.pager = new Pager(
      (view) => this.wanted(view),
      (pages, abort) => this.load(pages, abort),
    );
    this.again = 0;
    this.closed = false;
    this.look();
  }

  /** @param {string} agent */
  cache(agent) {
    let found = this.caches.get(agent);
    if (!found) this.caches.set(agent, (found = new StepCache(TICKS)));
    return found;
  }

  /** Ask who is there, and again while one of them goes on, or may still come. */
  async look() {
    try {
      const answer = await get("/world", {...this.id});
      if (this.closed) return;
      const names = Object.keys(answer.columns);
      this.members.value = Array.from(
        {length: answer.rows},
        (_, i) => /** @type {Member} */ (Object.fromEntries(names.map((name) => [name, answer.columns[name][i]]))),
      );
      this.first.value = Math.min(...this.members.value.map((member) => member.first_tick));
      this.last.value = Math.max(-1, ...this.members.value.map((member) => member.last_tick));
      this.fresh.value = answer.fresh.asked_at;
      this.failed.value = null;
    } catch (error) {
      if (this.closed) return;
      if (!this.members.peek().length) this.failed.value = error;
    }
    if (this.running() || !this.settled() || this.failed.peek()) this.again = window.setTimeout(() => this.look(), LOOK_MS);
  }

  running() {
    return this.members.peek().some((member) => !member.terminated && !member.truncated);
  }

  settled() {
    const newest = Math.max(...this.members.peek().map((member) => member.newest_ts));
    return this.fresh.peek() - newest > SETTLES_US;
  }

  /** Pages of ticks that some agent lacks; one that has left lacks nothing behind its last tick. @param {import("./pager.js").View} view */
  wanted(view) {
    const pages = this.members
      .peek()
      .flatMap(({agent, last_tick}) => this.cache(agent).wanted({...view, last: Math.min(view.last, last_tick)}));
    return [...new Set(pages)];
  }

  /** @param {number[]} pages @param {AbortSignal} abort */
  async load(pages, abort) {
    const [from, to] = [pages[0] * TICKS, (pages[pages.length - 1] + 1) * TICKS - 1];
    const members = this.members.peek();
    const answer = readColumns(await bytes("/world/steps", {...this.id, from, to, most: MOST, as: "columns"}, abort));
    /** @type {Map<string, Step[]>} */
    const found = new Map();
    stepsOf(/** @type {any} */ (answer)).forEach((step, i) => {
      const agent = answer.columns.agent[i];
      found.set(agent, [...(found.get(agent) ?? []), {...step, step: step.tick}]);
    });
    for (const {agent, last_tick, terminated, truncated} of members) {
      const cache = this.cache(agent);
      for (const page of pages) {
        const whole = (terminated || truncated || (page + 1) * TICKS - 1 <= last_tick) && answer.left_out === 0;
        cache.put(
          page,
          (found.get(agent) ?? []).filter((step) => cache.pageOf(step.step) === page),
          whole,
        );
      }
      if (this.pager.view) cache.trim(this.pager.view.cursor);
    }
    this.version.value += 1;
  }

  close() {
    this.closed = true;
    this.pager.close();
    clearTimeout(this.again);
  }
}

/**
 * Brings the steps of one episode: history by pages as the cursor needs them, and the live tail behind it while it runs.
 */
import {bytes, get} from "./api.js";
import {readColumns} from "./columns.js";
import {StepCache} from "./episode.js";
import {follow} from "./live.js";
import {Pager} from "./pager.js";
import {signal} from "./preact.js";
import {pageSize, stepOf, stepsOf} from "./steps.js";

/** @typedef {{run: string, agent: string, attempt: number, env: number, episode: number}} EpisodeId */

const LOOK_MS = 4000;
const SOON_MS = 1500;

export class Source {
  /** @param {EpisodeId} id @param {boolean} live whether to follow what is not stored yet */
  constructor(id, live) {
    this.id = id;
    this.cache = new StepCache();
    this.pager = new Pager(
      (view) => this.cache.wanted(view),
      (pages, abort) => this.load(pages, abort),
    );
    /** What the server says of the episode: /api/v1/episode. */
    this.about = signal(/** @type {Record<string, any> | null} */ (null));
    this.failed = signal(/** @type {unknown} */ (null));
    /** It grows whenever steps come. */
    this.version = signal(0);
    /** The last step that is known. */
    this.last = signal(-1);
    /** Whether nothing can come any more, as far as is known. */
    this.over = false;
    this.again = 0;
    this.closed = false;
    this.live = live ? follow("episode", {...id}) : null;
    this.end = this.live?.channel("steps").version.subscribe(() => this.tail()) ?? (() => {});
    this.look();
  }

  /** Ask what the episode is, and again while it runs. */
  async look() {
    try {
      const answer = await get("/episode", {...this.id});
      if (this.closed) return;
      this.failed.value = null;
      this.learn({
        ...answer,
        ...Object.fromEntries(
          Object.entries(answer.columns).map(([name, values]) => [name, /** @type {any[]} */ (values)[0]]),
        ),
      });
    } catch (error) {
      if (this.closed) return;
      // an episode that has just begun is in no table yet: the live tail has it
      if (!this.about.peek()) this.failed.value = error;
    }
    if (!this.over && (this.live || this.failed.peek()))
      this.again = window.setTimeout(() => this.look(), this.failed.peek() ? SOON_MS : LOOK_MS);
  }

  /** @param {Record<string, any>} about */
  learn(about) {
    if (!this.about.peek() && !this.cache.pages.size) this.cache.size = pageSize(about.layouts?.observations ?? []);
    this.over = Boolean(about.finalised) && about.last_step >= about.length - (about.has_reset ? 0 : 1);
    this.about.value = about;
    this.reach(about.last_step);
  }

  /** Take what the live channel has of this episode. */
  tail() {
    const rows = [...(this.live?.channel("steps").rows.values() ?? [])].filter(
      (row) => row.env === this.id.env && row.episode === this.id.episode,
    );
    const steps = rows.filter((row) => !this.cache.get(row.step)).map(stepOf);
    if (!steps.length) return;
    this.cache.append(steps);
    this.version.value += 1;
    this.reach(Math.max(...steps.map((step) => step.step)));
    if (!steps.some((step) => step.terminated || step.truncated)) return;
    clearTimeout(this.again); // what it came to is said in a moment
    this.again = window.setTimeout(() => this.look(), SOON_MS);
  }

  /** @param {number} step */
  reach(step) {
    if (step > this.last.peek()) this.last.value = step;
  }

  /** @param {number[]} pages @param {AbortSignal} abort */
  async load(pages, abort) {
    const {size} = this.cache;
    // what the server has stored when it is asked is at least what it has said before
    const stored = this.over ? Infinity : (this.about.peek()?.last_step ?? -1);
    const [from, to] = [pages[0] * size, (pages[pages.length - 1] + 1) * size - 1];
    const answer = readColumns(
      await bytes("/episode/steps", {...this.id, from, to, most: pages.length * size, as: "columns"}, abort),
    );
    const steps = stepsOf(/** @type {any} */ (answer));
    const until = answer.next >= 0 ? answer.next : Infinity;
    for (const page of pages) {
      const end = (page + 1) * size - 1;
      if (page * size < until)
        this.cache.put(
          page,
          steps.filter((step) => this.cache.pageOf(step.step) === page),
          end <= stored && end < until,
        );
    }
    if (this.pager.view) this.cache.trim(this.pager.view.cursor);
    if (steps.length) this.reach(steps[steps.length - 1].step);
    this.version.value += 1;
  }

  close() {
    this.closed = true;
    this.pager.close();
    clearTimeout(this.again);
    this.end();
    this.live?.close();
  }
}

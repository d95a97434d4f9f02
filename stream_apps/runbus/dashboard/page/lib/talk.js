/**
 * Brings the outline of a transcript and finds words in it; what the live tail has is put behind it.
 */
import {bytes, get} from "./api.js";
import {readColumns} from "./columns.js";
import {effect, signal} from "./preact.js";
import {Outline} from "./transcript.js";

/** @typedef {import("./transcript.js").Entry} Entry */

const AGAIN_MS = 1500;
const NUMBERS = {
  input: "llm.input_tokens",
  output: "llm.output_tokens",
  cached: "llm.cached_tokens",
  cost: "llm.cost_usd",
  duration: "duration_ms",
};

export class Talk {
  /** @param {import("./source.js").Source} source @param {string} word to look for */
  constructor(source, word) {
    this.source = source;
    this.outline = new Outline();
    this.version = signal(0);
    this.failed = signal(/** @type {unknown} */ (null));
    this.leftOut = signal(0);
    /** What stands in the field, and what was looked for. */
    this.word = signal(word);
    this.asked = signal("");
    /** Steps with the word, in order; null = not looked for. */
    this.hits = signal(/** @type {number[] | null} */ (null));
    this.more = signal(false);
    /** Hits in all transcripts of the run. */
    this.everywhere = signal(/** @type {Record<string, any>[] | null} */ (null));
    /** Why the last search found nothing at all. */
    this.trouble = signal("");
    /** Through how much the last search looked. */
    this.searched = signal({steps: 0, episodes: 0});
    this.timer = 0;
    this.closed = false;
    this.ready = false;
    this.gap = false;
    this.loaded = 0;
    this.end = effect(() => {
      void source.version.value;
      if (this.ready) this.grow();
    });
    this.load();
    if (word) this.search();
  }

  async load() {
    this.ready = false;
    try {
      const from = (this.outline.entries.at(-1)?.step ?? -1) + 1;
      const answer = readColumns(await bytes("/episode/outline", {...this.source.id, from, as: "columns"}));
      this.outline.append(entriesOf(answer));
      this.leftOut.value = answer.left_out;
      this.failed.value = null;
    } catch (error) {
      if (!this.outline.entries.length) this.failed.value = error;
      if (!this.closed) this.timer = window.setTimeout(() => this.load(), AGAIN_MS);
    }
    this.loaded = performance.now();
    this.ready = true;
    this.grow();
    this.version.value += 1;
  }

  /** Put what the tail has behind the outline. What lies between them is in the history, or will be in a moment. */
  grow() {
    const next = (this.outline.entries.at(-1)?.step ?? -1) + 1;
    const tail = [...this.source.cache.tail.values()].filter((step) => step.step >= next).sort((a, b) => a.seq - b.seq);
    if (!tail.length) return;
    if (tail[0].step > next && performance.now() - this.loaded > AGAIN_MS && !this.gap) {
      this.gap = true; // once: a step that is lost never comes
      this.load();
      return;
    }
    if (tail[0].step > next && !this.gap) return;
    this.gap = false;
    if (this.outline.append(tail.map(entryOf))) this.version.value += 1;
  }

  /** @param {string} word */
  say(word) {
    this.word.value = word;
    if (word) return;
    this.hits.value = null;
    this.asked.value = "";
  }

  async search() {
    const word = this.word.peek();
    if (!word) return;
    const answer = await this.find({...this.source.id, q: word});
    if (!answer || this.word.peek() !== word) return;
    this.asked.value = word;
    this.hits.value = answer.columns.step;
    this.searched.value = answer.searched;
    this.more.value = answer.left_out > 0;
  }

  /** The hits, or null; then `trouble` says why. @param {import("./route.js").Changes} where */
  async find(where) {
    this.trouble.value = "";
    try {
      return await get("/search", where);
    } catch (error) {
      this.trouble.value = error instanceof Error ? error.message : String(error);
      return null;
    }
  }

  async searchAll() {
    const word = this.word.peek();
    const answer = await this.find({run: this.source.id.run, q: word});
    if (!answer) return;
    this.asked.value = word;
    this.searched.value = answer.searched;
    const names = Object.keys(answer.columns);
    this.everywhere.value = Array.from({length: answer.rows}, (_, i) =>
      Object.fromEntries(names.map((name) => [name, answer.columns[name][i]])),
    );
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.end();
  }
}

/** @param {import("./columns.js").Answer} answer @returns {Entry[]} */
function entriesOf({rows, columns}) {
  return Array.from({length: rows}, (_, i) => ({
    seq: columns.seq[i],
    step: columns.step[i],
    ts: columns.ts[i],
    kind: columns.kind[i],
    status: columns.status[i],
    parent: columns.parent[i],
    reward: columns.reward[i],
    input: columns.input[i],
    output: columns.output[i],
    cached: columns.cached[i],
    cost: columns.cost[i],
    duration: columns.duration[i],
  }));
}

/** @param {import("./episode.js").Step} step @returns {Entry} */
export function entryOf({seq, step, ts, kind, status, parent, reward, extras}) {
  const numbers = Object.fromEntries(Object.entries(NUMBERS).map(([name, extra]) => [name, extras[extra] ?? 0]));
  return /** @type {Entry} */ ({seq, step, ts, kind, status, parent, reward: reward ?? 0, ...numbers});
}

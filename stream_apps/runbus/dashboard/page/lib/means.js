/**
 * Asks history for the mean returns of runs whose episodes the live stream does not tell: those that ended before.
 */
import {get} from "./api.js";
import {oneOf} from "./filter.js";
import {signal} from "./preact.js";

/** @typedef {import("./channels.js").Row} Row */

const SOON_MS = 100;
const MOST_ROWS = 1000;
const LIVES = new Set(["running", "stalled", "lost"]);

export class Means {
  constructor() {
    /** Run -> mean return; null = it has none. Replaced as a whole. */
    this.known = signal(/** @type {Map<string, number | null>} */ (new Map()));
    /** @type {Set<string>} */
    this.wanted = new Set();
    this.abort = new AbortController();
    this.timer = 0;
  }

  /**
   * Return rows with the means that are known.
   * @param {Row[]} rows
   */
  filled(rows) {
    const known = this.known.value;
    return known.size ? rows.map((row) => this.of(row)) : rows;
  }

  /** @param {Row} row @returns {Row} */
  of(row) {
    const mean = row.mean_return ?? this.known.value.get(row.run);
    return mean === undefined || mean === row.mean_return ? row : {...row, mean_return: mean};
  }

  /** Ask for those of these runs that have ended and have none. @param {Row[]} rows */
  want(rows) {
    for (const row of rows) {
      if (typeof row.mean_return !== "number" && !LIVES.has(row.state) && !this.known.peek().has(row.run)) this.wanted.add(row.run);
    }
    if (this.wanted.size && !this.timer) this.timer = window.setTimeout(() => this.ask(), SOON_MS);
  }

  async ask() {
    const names = [...this.wanted], {q, count} = oneOf(names), asked = names.slice(0, count);
    const none = asked.map((name) => /** @type {[string, number | null]} */ ([name, null]));
    await this.take({q, most: MOST_ROWS}, none);
    for (const name of asked) this.wanted.delete(name);
    this.timer = 0;
    this.want([]);
  }

  /** Ask for the runs with the largest means, or the smallest: an order by them needs more than what is seen. @param {boolean} descending */
  first(descending) {
    return this.take({sort: "mean_return", descending: String(descending), most: MOST_ROWS}, []);
  }

  /**
   * @param {import("./route.js").Changes} params
   * @param {[string, number | null][]} none what is known of runs that the answer does not have
   */
  async take(params, none) {
    try {
      const {columns} = await get("/runs", params, this.abort.signal);
      const found = columns.run.map((/** @type {string} */ run, /** @type {number} */ i) => [run, columns.mean_return[i]]);
      this.known.value = new Map([...this.known.peek(), ...none, ...found]);
    } catch {
      if (!this.abort.signal.aborted) this.known.value = new Map([...this.known.peek(), ...none]); // the row says "–"
    }
  }

  close() {
    clearTimeout(this.timer);
    this.abort.abort();
  }
}

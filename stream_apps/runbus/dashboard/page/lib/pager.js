/**
 * Asks for pages of steps as they are needed: one request at a time, the most urgent page first, neighbours together,
 * what is no longer looked at taken back, and at most two requests a second while the cursor is dragged.
 */
import {ApiError} from "./api.js";
import {waitFor} from "./episode.js";
import {signal} from "./preact.js";

const DRAGGING_MS = 500;
const MOST_PAGES = 3;
const AGAIN_MS = 1500;

/** @typedef {Parameters<import("./episode.js").StepCache["wanted"]>[0]} View */

export class Pager {
  /**
   * @param {(view: View) => number[]} wanted pages, the most urgent first
   * @param {(pages: number[], abort: AbortSignal) => Promise<void>} load brings pages that lie beside each other
   */
  constructor(wanted, load) {
    this.wanted = wanted;
    this.load = load;
    this.failed = signal(/** @type {unknown} */ (null));
    /** Requests so far, and when the last one began. */
    this.asked = 0;
    this.started = -Infinity;
    /** When a page was asked for last: one that is not whole yet is not asked for all the time. @type {Map<number, number>} */
    this.askedAt = new Map();
    /** @type {{pages: number[], abort: AbortController} | null} */
    this.running = null;
    /** @type {View | null} */
    this.view = null;
    this.dragging = false;
    this.timer = 0;
    this.closed = false;
  }

  /**
   * Say what is looked at.
   * @param {View} view
   * @param {boolean} dragging
   */
  need(view, dragging) {
    [this.view, this.dragging] = [view, dragging];
    const useful = this.wanted(view);
    if (this.running && useful.length && !this.running.pages.some((page) => useful.includes(page)))
      this.running.abort.abort();
    this.next();
  }

  next() {
    clearTimeout(this.timer);
    if (this.closed || this.running || !this.view) return;
    const now = performance.now();
    const wanted = this.wanted({...this.view, ahead: this.dragging ? 0 : this.view.ahead});
    if (!wanted.length) return;
    const [page, ...others] = wanted.filter((one) => now - (this.askedAt.get(one) ?? -Infinity) >= AGAIN_MS);
    const wait = page === undefined ? AGAIN_MS : this.dragging ? waitFor(this.started, now, DRAGGING_MS) : 0;
    if (wait > 0) this.timer = window.setTimeout(() => this.next(), wait);
    else this.ask(together(page, others));
  }

  /** @param {number[]} pages beside each other, in order */
  async ask(pages) {
    this.started = performance.now();
    this.asked += 1;
    for (const page of pages) this.askedAt.set(page, this.started);
    const abort = new AbortController();
    this.running = {pages, abort};
    try {
      await this.load(pages, abort.signal);
      this.failed.value = null;
    } catch (error) {
      if (abort.signal.aborted) for (const page of pages) this.askedAt.delete(page);
      else
        this.failed.value =
          error instanceof ApiError ? error : new ApiError(0, {error: `The steps could not be read: ${error}`});
    }
    this.running = null;
    this.next();
  }

  close() {
    this.closed = true;
    this.running?.abort.abort();
    clearTimeout(this.timer);
  }
}

/**
 * A page and those of the others that lie beside it, at most three, in order.
 * @param {number} page
 * @param {number[]} others
 */
export function together(page, others) {
  const pages = [page];
  for (let grown = true; grown && pages.length < MOST_PAGES;) {
    const [low, high] = [pages[0], pages[pages.length - 1]];
    grown = others.includes(high + 1) || others.includes(low - 1);
    if (others.includes(high + 1)) pages.push(high + 1);
    else if (grown) pages.unshift(low - 1);
  }
  return pages;
}

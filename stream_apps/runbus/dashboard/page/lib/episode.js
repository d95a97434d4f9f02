/**
 * The steps of one episode that the page holds: pages of history by step number and the live tail behind them, a bounded
 * number of them, those nearest to the cursor. Pure: it says what to fetch, it fetches nothing.
 */

/**
 * @typedef {object} Value an action or an observation as it was recorded
 * @property {string} dtype numpy's, `text`, `json`, `struct:...`, `omitted:...`, `absent:...`, or empty
 * @property {number[]} shape
 * @property {ArrayLike<number | null>} [numbers] flat, in C order
 * @property {string} [text] of text and json
 * @property {{name: string, value: Value}[]} [parts] of a struct: its leaves in order
 */

/**
 * @typedef {object} Step one row of `steps`
 * @property {number} seq
 * @property {number} step 0 = the reset
 * @property {number} tick -1 = none
 * @property {number} ts microseconds since the epoch
 * @property {number | null} reward null = not finite
 * @property {boolean} terminated
 * @property {boolean} truncated
 * @property {string} kind
 * @property {string} status
 * @property {number} parent seq, -1 = none
 * @property {Record<string, number | null>} extras
 * @property {string} info JSON or empty
 * @property {string} stop
 * @property {Value} action
 * @property {Value} observation
 */

/** @typedef {{steps: Map<number, Step>, whole: boolean}} Page */

export class StepCache {
  /**
   * @param {number} size steps a page
   * @param {number} most pages that are kept
   */
  constructor(size = 256, most = 48) {
    this.size = size;
    this.most = most;
    /** @type {Map<number, Page>} */
    this.pages = new Map();
    /** @type {Map<number, Step>} the live tail */
    this.tail = new Map();
  }

  /** The page that holds a step. @param {number} step */
  pageOf(step) {
    return Math.floor(step / this.size);
  }

  /**
   * Takes a page of history.
   * @param {number} page
   * @param {Iterable<Step>} steps
   * @param {boolean} whole whether nothing can come into this page any more; a step it lacks is then lost
   */
  put(page, steps, whole) {
    this.pages.set(page, {steps: new Map([...steps].map((step) => [step.step, step])), whole});
  }

  /**
   * Takes steps of the live tail; of one that is there twice the last counts, they are the same.
   * @param {Iterable<Step>} steps
   */
  append(steps) {
    for (const step of steps) this.tail.set(step.step, step);
    const most = this.size * 8;
    if (this.tail.size <= most) return;
    const oldest = [...this.tail.keys()].sort((a, b) => a - b).slice(0, this.tail.size - most);
    for (const step of oldest) this.tail.delete(step);
  }

  /** @param {number} step @returns {Step | undefined} */
  get(step) {
    return this.pages.get(this.pageOf(step))?.steps.get(step) ?? this.tail.get(step);
  }

  /** Whether a step is `here`, `lost`, or not `loaded` yet. @param {number} step */
  stateOf(step) {
    if (this.get(step)) return "here";
    return this.pages.get(this.pageOf(step))?.whole ? "lost" : "loading";
  }

  /**
   * The steps of a window, in order, without those that are not here.
   * @param {number} from
   * @param {number} to included
   */
  between(from, to) {
    const found = [];
    for (let step = from; step <= to; step++) {
      const row = this.get(step);
      if (row) found.push(row);
    }
    return found;
  }

  /**
   * Runs of steps of a window that are `lost` or `loading`.
   * @param {number} from
   * @param {number} to included
   * @returns {{from: number, to: number, state: string}[]}
   */
  holes(from, to) {
    /** @type {{from: number, to: number, state: string}[]} */
    const found = [];
    for (let step = from; step <= to; step++) {
      const state = this.stateOf(step);
      const last = found.at(-1);
      if (state === "here") continue;
      if (last && last.state === state && last.to === step - 1) last.to = step;
      else found.push({from: step, to: step, state});
    }
    return found;
  }

  /** Whether a page has to be asked for, to show what there is up to `last`. @param {number} page @param {number} last */
  lacks(page, last) {
    const held = this.pages.get(page);
    if (held?.whole) return false;
    const end = Math.min(last, (page + 1) * this.size - 1);
    for (let step = page * this.size; step <= end; step++) {
      if (!held?.steps.has(step) && !this.tail.has(step)) return true;
    }
    return false;
  }

  /**
   * Pages to ask for, the most urgent first: the cursor's, the rest of the window, then ahead in the direction of play.
   * @param {{cursor: number, from: number, to: number, direction: number, ahead: number, first: number, last: number}} view
   * @returns {number[]}
   */
  wanted({cursor, from, to, direction, ahead, first, last}) {
    const [lowest, highest] = [this.pageOf(first), this.pageOf(last)];
    const here = this.pageOf(cursor);
    const pages = new Set([here]);
    for (let page = this.pageOf(from); page <= this.pageOf(to); page++) pages.add(page);
    const edge = direction < 0 ? Math.min(...pages) : Math.max(...pages);
    for (let i = 1; i <= ahead; i++) pages.add(edge + i * (direction < 0 ? -1 : 1));
    return [...pages].filter((page) => page >= lowest && page <= highest && this.lacks(page, last));
  }

  /** Forgets the pages that are farthest from the cursor. @param {number} cursor */
  trim(cursor) {
    const here = this.pageOf(cursor);
    const far = [...this.pages.keys()].sort((a, b) => Math.abs(a - here) - Math.abs(b - here)).slice(this.most);
    for (const page of far) this.pages.delete(page);
  }
}

/**
 * When the next request may start: at once after a rest, and never more than one each `gap` milliseconds.
 * @param {number} started when the last one started, -Infinity = never
 * @param {number} now
 * @param {number} gap
 */
export const waitFor = (started, now, gap) => Math.max(0, started + gap - now);

/**
 * The window of steps to draw: as many as there is room for, the cursor inside. It stands while the cursor moves in its
 * middle and moves by whole steps when the cursor comes to its edge, so what is drawn seldom changes.
 * @param {{from: number, to: number} | null} before the window until now
 * @param {number} cursor
 * @param {number} room steps that fit
 * @param {{first: number, last: number}} extent
 */
export function windowAround(before, cursor, room, {first, last}) {
  const width = Math.max(1, Math.min(room, last - first + 1));
  const keep = before && before.to - before.from + 1 === width && before.from >= first && before.to <= last;
  const margin = Math.floor(width / 8);
  if (
    keep &&
    cursor >= before.from + (before.from > first ? margin : 0) &&
    cursor <= before.to - (before.to < last ? margin : 0)
  ) {
    return before;
  }
  const from = Math.max(first, Math.min(last - width + 1, cursor - Math.floor(width / 2)));
  return {from, to: from + width - 1};
}

/**
 * The x axis that all charts of a page share: what is shown of it, and where the cursor is. The zoom is in the address
 * (`range=a..b`), so a link shows the same part again. Charts of another x have an axis and a range of their own.
 */
import {computed, signal} from "./preact.js";
import {duration, exact, moment} from "./format.js";
import {route, set} from "./route.js";

/** @typedef {"seq" | "episode" | "time" | "relative"} Kind */

/** What x can be. Times are milliseconds: since the epoch, or since the run began. @type {Record<Kind, string>} */
export const KINDS = {seq: "step of the stream", episode: "episode", time: "time", relative: "time since the start"};

export class Axis {
  /**
   * @param {Kind} kind
   * @param {{label?: string, param?: string}} [of] what x is called, and the parameter of the address that has the range
   */
  constructor(kind, {label = KINDS[kind], param = "range"} = {}) {
    this.kind = kind;
    this.label = label;
    this.param = param;
    /** @type {import("../vendor/signals-core.js").Signal<Map<string, [number, number]>>} first and last x by chart */
    this.extents = signal(new Map());
    /** Where the cursor is, for all charts; null = nowhere. */
    this.cursor = signal(/** @type {number | null} */ (null));
    /** The chart that keys go to: the one that has the focus, or that the pointer was in last. */
    this.active = signal("");
    /** The charts that are shown as tables. */
    this.tables = signal(/** @type {Set<string>} */ (new Set()));
    /** What is zoomed to; null = everything. */
    this.range = computed(() => parsed(route.value.params.get(param)));
    this.whole = computed(() => {
      const all = [...this.extents.value.values()];
      return /** @type {[number, number]} */ (all.length ? [Math.min(...all.map((one) => one[0])), Math.max(...all.map((one) => one[1]))] : [0, 1]);
    });
    /** What is drawn: from, to. */
    this.shown = computed(() => this.range.value ?? wide(this.whole.value));
    /** @type {([number, number] | null)[]} what was zoomed to before */
    this.past = [];
  }

  /**
   * Say what a chart has.
   * @param {string} name
   * @param {[number, number] | null} extent
   */
  has(name, extent) {
    const known = this.extents.peek(), mine = known.get(name);
    const next = new Map(known);
    // Of a chart that is zoomed only a part is here: what it had before is still there.
    if (extent && mine && this.range.peek()) extent = [Math.min(mine[0], extent[0]), Math.max(mine[1], extent[1])];
    if (mine?.[0] === extent?.[0] && mine?.[1] === extent?.[1]) return;
    if (extent) next.set(name, extent);
    else next.delete(name);
    this.extents.value = next;
  }

  /**
   * Show a part, or everything.
   * @param {[number, number] | null} range
   */
  zoom(range) {
    this.past.push(this.range.peek());
    this.put(range);
  }

  /** Show what was shown before the last zoom. */
  undo() {
    this.put(this.past.pop() ?? null);
  }

  /**
   * Show a larger or smaller part around the cursor, or around the middle.
   * @param {number} factor below 1: closer
   */
  scale(factor) {
    const [from, to] = this.shown.peek(), at = this.cursor.peek() ?? (from + to) / 2;
    const range = /** @type {[number, number]} */ ([at - (at - from) * factor, at + (to - at) * factor]);
    const [first, last] = wide(this.whole.peek());
    this.zoom(range[0] <= first && range[1] >= last ? null : [Math.max(range[0], first), Math.min(range[1], last)]);
  }

  /** @param {[number, number] | null} range */
  put(range) {
    const rounded = (/** @type {number} */ x) => (this.kind === "time" || this.kind === "relative" ? Math.round(x) : Number(x.toFixed(2)));
    set({[this.param]: range && range.map(rounded).join("..")});
  }

  /**
   * Swap a chart for its table, or back.
   * @param {string} name
   */
  swap(name) {
    const next = new Set(this.tables.peek());
    if (!next.delete(name)) next.add(name);
    this.tables.value = next;
  }

  /**
   * Write an x.
   * @param {number} x
   */
  text(x) {
    if (this.kind === "time") return moment(x * 1000);
    return this.kind === "relative" ? duration(x) : exact(Math.round(x));
  }
}

/**
 * Read `a..b`; anything else is no range.
 * @param {string | null} text
 * @returns {[number, number] | null}
 */
export function parsed(text) {
  const ends = (text ?? "").split("..").map((part) => (part.trim() ? Number(part) : NaN));
  return ends.length === 2 && Number.isFinite(ends[0]) && ends[0] < ends[1] && Number.isFinite(ends[1]) ? [ends[0], ends[1]] : null;
}

/** One point alone needs a width to be drawn in. @param {[number, number]} extent @returns {[number, number]} */
const wide = ([first, last]) => (first < last ? [first, last] : [first - 1, last + 1]);

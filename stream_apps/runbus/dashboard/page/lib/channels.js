/**
 * Holds what the server pushes: rows by key, in channels. Pure; lib/live.js feeds it.
 *
 * A row is replaced as a whole, by its key, so that a frame that comes twice, or after a snapshot, changes nothing.
 */
import {signal} from "./preact.js";

/** @typedef {Record<string, any>} Row */
/**
 * One push of the server. `t`: when it was sent, microseconds since the epoch. `whole`: forget what is not in it.
 * `up`: channel -> key -> row, null = the row is gone. `below`: what history has, by `topic:partition`.
 * @typedef {{t: number, whole?: boolean, below?: Record<string, number>, up?: Record<string, Record<string, Row | null>>, skip?: number,
 *   replay?: import("./replay.js").Progress}} Frame
 */

/** Rows of one kind. Read `version` to hear of changes; `changed` names the keys that the last frame touched. */
export class Channel {
  constructor() {
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    this.version = signal(0);
    /** @type {string[]} */
    this.changed = [];
    /** How many snapshots came: what was between one and what came before it may be lost. */
    this.snapshots = 0;
  }

  /** Return the rows, and hear of changes: inside a component, an effect or a computed value. */
  read() {
    void this.version.value;
    return this.rows;
  }

  /**
   * @param {Record<string, Row | null>} changes
   * @param {boolean} whole
   */
  take(changes, whole) {
    const keys = Object.keys(changes);
    if (whole) {
      for (const key of this.rows.keys()) if (!(key in changes)) this.rows.delete(key);
    }
    for (const key of keys) {
      const row = changes[key];
      if (row) this.rows.set(key, row);
      else this.rows.delete(key);
    }
    if (!keys.length && !whole) return;
    if (whole) this.snapshots += 1;
    this.changed = keys;
    this.version.value += 1;
  }
}

/** All channels of one view of the server. */
export class Channels {
  constructor() {
    /** @type {Map<string, Channel>} */
    this.known = new Map();
    /** What history has: `topic:partition` -> the offset below which everything is stored. */
    this.below = signal(/** @type {Record<string, number>} */ ({}));
    /** Ticks of the server that this page missed because it was slow. */
    this.skipped = signal(0);
  }

  /**
   * Return a channel; it is there before its first row.
   * @param {string} name
   */
  of(name) {
    let found = this.known.get(name);
    if (!found) this.known.set(name, (found = new Channel()));
    return found;
  }

  /** @param {Frame} frame */
  take(frame) {
    const up = frame.up ?? {};
    if (frame.below) this.below.value = frame.below;
    if (frame.skip) this.skipped.value += frame.skip;
    const names = frame.whole ? new Set([...this.known.keys(), ...Object.keys(up)]) : Object.keys(up);
    for (const name of names) this.of(name).take(up[name] ?? {}, frame.whole ?? false);
  }
}

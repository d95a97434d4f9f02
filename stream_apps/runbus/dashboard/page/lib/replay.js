/**
 * Follows a recorded run as if it came now, at a speed; it can pause, and begin anywhere.
 *
 * The server keeps nothing of it: an id says how far a page is, so a pause is a closed stream.
 */
import {Live} from "./live.js";
import {signal} from "./preact.js";

/**
 * How far a replay is: moments of the run, microseconds since the epoch.
 * @typedef {{at: number, from: number, to: number, episodes: number, over: boolean}} Progress
 */

/** The fastest: everything at once. */
export const AT_ONCE = 1e6;
export const SPEEDS = [0.5, 1, 2, 5, 10, 50, 200, AT_ONCE];

export class Replay extends Live {
  /**
   * @param {string} run
   * @param {number} speed 1 = as it was
   */
  constructor(run, speed) {
    super("run", {run, replay: speed});
    this.isReplay = true;
    /** @type {import("../vendor/signals-core.js").Signal<Progress | null>} */
    this.progress = signal(null);
    /** Whether it goes on by itself. */
    this.plays = signal(true);
  }

  open() {
    if (this.plays?.peek() !== false) super.open(); // also called while Live makes itself
  }

  /** @param {import("./channels.js").Frame} frame */
  took(frame) {
    if (!frame.replay) return;
    this.progress.value = frame.replay;
    if (frame.replay.over) this.stop();
  }

  /** Stay where it is. */
  stop() {
    this.plays.value = false;
    this.pause();
  }

  /** Go on; from the start, if it is over. */
  play() {
    const {at = 0, to = 0, over = false} = this.progress.peek() ?? {};
    if (over || at >= to) this.since = "";
    this.plays.value = true;
    this.reopen();
  }

  /** Begin at a moment of the run. @param {number} at microseconds since the epoch */
  seek(at) {
    this.since = `replay.${Math.round(at)}`;
    if (this.progress.peek()) this.progress.value = {.../** @type {Progress} */ (this.progress.peek()), at, over: false};
    this.plays.value = true;
    this.reopen();
  }

  /** @param {number} speed */
  setSpeed(speed) {
    if (this.params.replay !== speed) this.reopen({replay: speed});
  }
}

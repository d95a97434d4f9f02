/**
 * Follows what happens now: one stream of server-sent events for what the page shows.
 *
 * - A hidden tab closes its stream: a browser has six connections for an origin, and a seventh tab would not load.
 *   Back in sight, it goes on where it was (`since`).
 * - EventSource opens a broken connection again by itself, but never after an answer that is no stream: then this does.
 * - A server that hangs breaks nothing: without a frame or a beat for 7 s the state is `late`.
 * - A server that Kafka does not answer says so: the state is `silent`, and `silence` says why.
 */
import {Channels} from "./channels.js";
import {signal} from "./preact.js";
import {address, get} from "./api.js";
import {expose} from "./inspect.js";

const LATE_MS = 7000;
const LOOK_MS = 250;
const AGAIN_MS = [250, 500, 1000, 2000];
const PAINTS = 10_000;

/** Milliseconds since the epoch, for all ages on the page; it moves four times a second. */
export const now = signal(Date.now());

/** @typedef {"opening" | "live" | "silent" | "late" | "away" | "paused"} State */

/** The states in which nothing new is heard, in words: what the page shows is as old as the newest frame. @type {Record<string, string>} */
export const UNHEARD = {silent: "no answer from Kafka", late: "late", away: "no connection"};

/** The stream that the page follows now; the header shows its state. */
export const current = signal(/** @type {Live | null} */ (null));

export class Live {
  /**
   * @param {string} view runs, run, episode or health
   * @param {import("./route.js").Changes} params
   */
  constructor(view, params) {
    this.view = view;
    this.params = params;
    this.channels = new Channels();
    /** @type {import("../vendor/signals-core.js").Signal<State>} */
    this.state = signal("opening");
    /** When the newest frame was sent, by the server's clock, milliseconds since the epoch; 0 = none yet. */
    this.sentAt = signal(0);
    /** Whether a first snapshot is there: before it, an empty channel means nothing. */
    this.ready = signal(false);
    /** Whether it is the past that comes; see lib/replay.js. */
    this.isReplay = false;
    this.since = "";
    this.tries = 0;
    this.heard = Date.now();
    this.closed = false;
    /** @type {EventSource | null} */
    this.source = null;
    /** @type {number[][]} when a frame was sent, when it was painted, and its newest step: milliseconds since the epoch */
    this.paints = [];
    this.onSight = () => (document.hidden ? this.pause() : this.open());
    document.addEventListener("visibilitychange", this.onSight);
    this.timer = setInterval(() => this.look(), LOOK_MS);
    this.hide = expose("live", () => this.said());
    current.value = this;
    if (!document.hidden) this.open();
  }

  /** @param {string} name */
  channel(name) {
    return this.channels.of(name);
  }

  /** Why nothing can come although the server answers, and since when, microseconds since the epoch. */
  get silence() {
    return this.channel("log").rows.get("");
  }

  open() {
    if (this.closed || this.source) return;
    this.heard = Date.now();
    const source = new EventSource(address("/stream", {view: this.view, ...this.params, since: this.since}));
    this.source = source;
    source.addEventListener("d", (event) => this.take(/** @type {MessageEvent} */ (event)));
    source.addEventListener("error", () => {
      this.state.value = "away";
      if (source.readyState === EventSource.CLOSED && this.source === source) this.again();
    });
  }

  /** Open another connection, from `since` on. @param {import("./route.js").Changes} [changes] of what is followed */
  reopen(changes = {}) {
    this.params = {...this.params, ...changes};
    this.source?.close();
    this.source = null;
    this.open();
  }

  again() {
    this.source?.close();
    this.source = null;
    get("/session").catch(() => {}); // a token that is not good any more leads to the login
    const wait = AGAIN_MS[Math.min(this.tries++, AGAIN_MS.length - 1)];
    setTimeout(() => document.hidden || this.open(), wait);
  }

  pause() {
    this.source?.close();
    this.source = null;
    this.state.value = "paused";
  }

  /** @param {MessageEvent<string>} event */
  take(event) {
    this.tries = 0;
    this.heard = Date.now();
    this.since = event.lastEventId;
    const frame = /** @type {import("./channels.js").Frame} */ (JSON.parse(event.data));
    this.channels.take(frame);
    this.sentAt.value = frame.t / 1000;
    this.state.value = this.silence ? "silent" : "live";
    this.ready.value = true;
    this.took(frame);
    if (frame.up) this.stamp(frame.t / 1000, newestOf(frame.up));
  }

  /** What more a frame means; a replay has more. @param {import("./channels.js").Frame} frame */
  took(frame) {
    void frame;
  }

  /** Note when what a frame brought was painted. @param {number} sent @param {number} newest */
  stamp(sent, newest) {
    requestAnimationFrame(() => {
      const painted = new MessageChannel();
      painted.port1.onmessage = () => {
        this.paints.push([sent, performance.timeOrigin + performance.now(), newest]);
        if (this.paints.length > PAINTS) this.paints.splice(0, PAINTS / 2);
      };
      painted.port2.postMessage(0);
    });
  }

  look() {
    now.value = Date.now();
    if (["live", "silent"].includes(this.state.value) && now.value - this.heard > LATE_MS) this.state.value = "late";
    if (this.state.value === "late" && now.value - this.heard > 3 * LATE_MS) this.again();
  }

  said() {
    const rows = [...this.channels.known].map(([name, channel]) => [name, Object.fromEntries(channel.rows)]);
    return {
      view: this.view, state: this.state.value, since: this.since, below: this.channels.below.value,
      paints: this.paints, skipped: this.channels.skipped.value, channels: Object.fromEntries(rows),
    };
  }

  close() {
    this.closed = true;
    this.source?.close();
    clearInterval(this.timer);
    document.removeEventListener("visibilitychange", this.onSight);
    this.hide();
    if (current.value === this) current.value = null;
  }
}

/**
 * Return the time of the newest step that a frame tells of, milliseconds since the epoch; 0 = it tells of none.
 * @param {NonNullable<import("./channels.js").Frame["up"]>} up
 */
function newestOf(up) {
  let newest = 0;
  for (const channel of Object.values(up)) {
    for (const row of Object.values(channel)) newest = Math.max(newest, row?.newest_ts ?? row?.ts ?? 0);
  }
  return newest / 1000;
}

/**
 * Follow a view. Close what it returns when the page goes.
 * @param {string} view
 * @param {import("./route.js").Changes} [params]
 */
export function follow(view, params = {}) {
  return new Live(view, params);
}


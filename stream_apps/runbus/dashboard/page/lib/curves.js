/**
 * Keeps curves up to date: asks history, adds what comes live, and asks again when the sink has moved on.
 */
import {bytes} from "./api.js";
import {now as moment} from "./live.js";
import {computed, effect, signal, untracked} from "./preact.js";
import {readColumns} from "./columns.js";
import {historyOf, positions, seriesOf, unitsOf, viewOf} from "./curve.js";
import {absorb, forget, noHistory, noRows, shorten, stitch} from "./stitch.js";

/** Curves of finalised episodes come live too; others are asked for anew. */
const LIVE = new Set(["return", "length"]);
const SOON_MS = 40;
/** So many episodes are kept while ClickHouse does not take them. */
const MOST_ROWS = 20_000;
/** History is asked again after so long if live rows are drawn over it: bins have their percentiles only from history. */
const OFTEN_MS = 10_000;
/** And a curve of steps after so long; at least so many times as long as the answer took. */
const STEPS_MS = 3000, TIMES = 10;
/** What a run that has ended wrote at last is stored by then. */
const SETTLED_MS = 30_000;

/** The finalised episodes that came live, for all curves of a page. */
export class RecentEpisodes {
  /** @param {import("./live.js").Live} live */
  constructor(live) {
    this.live = live;
    this.store = noRows();
    this.version = signal(0);
    /** @type {Set<Curve>} */
    this.curves = new Set();
    this.snapshots = 0;
    this.seen = 0;
    this.stop = effect(() => this.take(live.channel("episodes")));
  }

  /** @param {import("./channels.js").Channel} channel */
  take(channel) {
    const rows = channel.read(), version = channel.version.value;
    const whole = channel.snapshots === this.snapshots ? undefined : positions(this.live.channels.below.peek(), "episodes");
    const some = !whole && version === this.seen + 1;
    const known = some ? channel.changed.flatMap((key) => rows.get(key) ?? []) : rows.values();
    if (this.live.isReplay && whole) this.store = noRows(); // it begins elsewhere
    absorb(this.store, /** @type {Iterable<any>} */ (known), this.live.isReplay ? undefined : whole);
    if (!this.live.isReplay) shorten(this.store, MOST_ROWS);
    this.snapshots = channel.snapshots;
    this.seen = version;
    untracked(() => (this.version.value += 1));
  }

  /** Forget what every curve has from history by now. */
  tidy() {
    const all = [...this.curves].map((curve) => curve.history.peek()?.below);
    if (!all.length || all.some((below) => !below)) return;
    const lowest = /** @type {import("./stitch.js").Positions} */ ({});
    for (const p in all[0]) if (all.every((below) => below && p in below)) lowest[p] = Math.min(...all.map((below) => below?.[p] ?? 0));
    forget(this.store, lowest);
  }
}

/**
 * What a curve shows.
 * @typedef {{run: string, y: string, kind: import("./axis.js").Kind, by: import("./curve.js").By, agent: string,
 *   from?: number, to?: number, until?: number, bins: number, all: string, alive: boolean, agents: string[]}} What
 * `from`, `to` and `until` are in the chart's units. `all` names the line of all `agents`; `alive`: more may come
 */

/** One curve. Read `series`, `error`, `said`. */
export class Curve {
  /**
   * @param {import("../vendor/signals-core.js").ReadonlySignal<What>} what
   * @param {RecentEpisodes} recent
   */
  constructor(what, recent) {
    this.what = what;
    this.recent = recent;
    /** @type {import("../vendor/signals-core.js").Signal<import("./stitch.js").History | null>} */
    this.history = signal(null);
    /** What it was asked for. @type {import("../vendor/signals-core.js").Signal<What | null>} */
    this.asked = signal(null);
    /** What the answer said beside its columns. @type {import("../vendor/signals-core.js").Signal<Record<string, any>>} */
    this.said = signal({});
    /** @type {import("../vendor/signals-core.js").Signal<Error | null>} */
    this.error = signal(null);
    this.asking = signal(false);
    this.abort = new AbortController();
    this.askedAt = 0;
    this.tookMs = 0;
    this.aliveAt = -Infinity;
    this.timer = 0;
    recent.curves.add(this);
    this.stitched = computed(() => this.stitch());
    this.series = computed(() => this.drawn());
    this.ends = [
      effect(() => this.soon(what.value)),
      effect(() => this.again()),
    ];
  }

  /** Where the API has it. */
  get source() {
    const {run, y, kind, by, agent, from, to, until, bins} = this.what.value, units = unitsOf(kind);
    const end = Math.min(to ?? Infinity, until ?? Infinity);
    const place = (/** @type {number | undefined} */ x) => (x === undefined || !Number.isFinite(x) ? undefined : Math.floor(x * units));
    return {path: "/run/curve", params: {run, y, x: kind, by, agent: agent || undefined, from: place(from), to: place(end), bins}};
  }

  get isLive() {
    return LIVE.has(this.what.value.y);
  }

  /** Ask soon: several changes at once are one question. @param {What} what */
  soon(what) {
    const before = this.asked.peek();
    if (before && (before.kind !== what.kind || before.by !== what.by || before.run !== what.run || before.y !== what.y)) {
      this.history.value = this.asked.value = null; // it lies on another axis, or is another line
    }
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.ask(), this.askedAt ? SOON_MS : 0);
  }

  async ask() {
    if (this.recent.live.isReplay) return; // all of it comes as it came
    this.abort.abort();
    const abort = (this.abort = new AbortController()), what = this.what.peek(), {path, params} = this.source;
    const begun = (this.askedAt = performance.now());
    this.asking.value = true;
    try {
      const {columns, ...said} = readColumns(await bytes(path, {...params, as: "columns"}, abort.signal));
      if (abort.signal.aborted) return;
      this.tookMs = performance.now() - begun;
      this.said.value = said;
      this.asked.value = what;
      this.history.value = historyOf(/** @type {any} */ ({...said, columns}), what.by, this.isLive ? "episodes" : "steps");
      this.error.value = null;
      this.recent.tidy();
    } catch (error) {
      if (abort.signal.aborted) return;
      this.error.value = /** @type {Error} */ (error);
    }
    this.asking.value = false;
  }

  /** Ask again once the sink's positions are where it helps. */
  again() {
    void moment.value;
    const below = this.recent.live.channels.below.value, history = this.history.value;
    if (this.asking.value || this.recent.live.state.value !== "live" || this.what.value.until !== undefined) return;
    const age = performance.now() - this.askedAt;
    if (this.error.value) return void (age > STEPS_MS && this.soon(this.what.peek()));
    if (this.what.value.alive) this.aliveAt = performance.now();
    if (!history) return;
    const now = positions(below, this.isLive ? "episodes" : "steps");
    const moved = Object.entries(now).some(([p, offset]) => offset > (history.below[p] ?? -1));
    const wait = this.isLive ? this.stitched.value.wait : null;
    const settled = performance.now() - this.aliveAt > SETTLED_MS;
    const due = wait ? Object.entries(wait).every(([p, offset]) => (now[p] ?? -1) >= offset) : !settled && moved && age > (this.isLive ? OFTEN_MS : STEPS_MS);
    if (due && age > Math.min(1000, STEPS_MS) && age > TIMES * this.tookMs) this.soon(this.what.peek());
  }

  stitch() {
    void this.recent.version.value;
    const what = this.asked.value ?? this.what.value, store = this.isLive ? this.recent.store : noRows();
    const units = unitsOf(what.kind), end = Math.min(what.to ?? Infinity, what.until ?? Infinity);
    const view = viewOf({...what, origin: this.said.value.origin || NaN, from: (what.from ?? -Infinity) * units, to: end * units + 1});
    return stitch(this.history.value ?? noHistory(store), store, view);
  }

  drawn() {
    return seriesOf(this.stitched.value, this.history.value?.width ?? 0, this.asked.value ?? this.what.value);
  }

  close() {
    for (const end of this.ends) end();
    clearTimeout(this.timer);
    this.abort.abort();
    this.recent.curves.delete(this);
  }
}

// The stitch equals a reference computed from the whole log, whatever order, repeats, losses and resumes there were.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { binned } from "./reference.js";
import { absorb, forget, keyOf, noHistory, noRows, shorten, stitch } from "../../stream_apps/runbus/dashboard/page/lib/stitch.js";

/** @typedef {import("../../stream_apps/runbus/dashboard/page/lib/stitch.js").Row} Row */
/** @typedef {import("../../stream_apps/runbus/dashboard/page/lib/stitch.js").Positions} Positions */
/** @typedef {import("../../stream_apps/runbus/dashboard/page/lib/stitch.js").History} History */
/** @typedef {import("../../stream_apps/runbus/dashboard/page/lib/stitch.js").Stitched} Stitched */
/** @typedef {import("../../stream_apps/runbus/dashboard/page/lib/bins.js").Bins} Bins */
/** @typedef {{kind: string, agent: string, env: number, episode: number, value: number | null, share: number,
 *   order: number, again: number, newest: boolean, width: number}} Happening */

/** @type {import("../../stream_apps/runbus/dashboard/page/lib/stitch.js").View} */
const VIEW = { series: (row) => row.agent, x: (row) => row.last_seq, y: (row) => row.return };
/** @type {Record<string, number>} */
const PARTITION = { a: 0, b: 1, c: 1 };

/** What happens, in any order: records, commits of the sink, frames, losses with resume, questions to history. */
const happening = fc.record({
  kind: fc.constantFrom("record", "record", "record", "commit", "frame", "frame", "resume", "ask", "forget", "shorten"),
  agent: fc.constantFrom("a", "b", "c"), episode: fc.nat(9), env: fc.nat(1),
  value: fc.oneof(fc.integer({ min: -1000, max: 1000 }), fc.constant(null)),
  share: fc.nat(4), order: fc.nat(), again: fc.nat(5), newest: fc.boolean(), width: fc.constantFrom(0, 1, 4, 64),
});

/** The broker, the sink's commits and one client of them. */
class World {
  constructor() {
    /** @type {Row[][]} by partition */
    this.log = [[], []];
    /** @type {Positions} a partition that the sink has not committed in is not named */
    this.committed = {};
    this.sent = [0, 0];
    this.live = noRows();
    /** @type {History | null} */
    this.history = null;
    absorb(this.live, [], {});
  }

  /** @param {Happening} what */
  take(what) {
    if (what.kind === "record") this.record(what);
    if (what.kind === "commit") this.commit(what.share);
    if (what.kind === "frame") this.frame(what);
    if (what.kind === "resume") this.resume(what);
    if (what.kind === "ask") this.ask(what.width);
    if (what.kind === "shorten") shorten(this.live, 5);
    if (what.kind === "forget" && this.history) forget(this.live, this.history.below);
  }

  /** @param {Happening} what */
  record({ agent, env, episode, value }) {
    const mine = this.log[PARTITION[agent]], key = keyOf(row({ agent, env, episode }));
    const revision = 1 + mine.filter((other) => keyOf(other) === key).length;
    // Every second offset is the marker of a transaction.
    mine.push(row({ agent, env, episode, revision, p: PARTITION[agent], o: mine.length * 2, last_seq: episode * 7 + env, return: value }));
  }

  /** @param {number} share fourths of a partition that stay uncommitted */
  commit(share) {
    for (const p of [0, 1]) {
      const end = this.log[p].length * 2;
      if (end) this.committed[p] = Math.max(this.committed[p] ?? 0, end - Math.floor((end * share) / 4));
    }
  }

  /** @param {{order: number, again: number, newest: boolean}} how */
  frame({ order, again, newest }) {
    const rows = this.log.flatMap((mine, p) => mine.slice(Math.max(0, this.sent[p] - again)));
    absorb(this.live, shuffled(newest ? newestOf(rows) : rows, order));
    this.sent = this.log.map((mine) => mine.length);
  }

  /** @param {{order: number, newest: boolean}} how */
  resume({ order, newest }) {
    const rows = this.log.flat().filter((other) => other.o >= (this.committed[other.p] ?? 0));
    absorb(this.live, shuffled(newest ? newestOf(rows) : rows, order), { ...this.committed });
    this.sent = this.log.map((mine) => mine.length);
  }

  /** @param {number} width */
  ask(width) {
    const rows = newestOf(this.log.flat().filter((other) => other.o < (this.committed[other.p] ?? Infinity)));
    this.history = { below: { ...this.committed }, width, bins: width ? byBins(rows, width) : new Map(), points: width ? new Map() : byPoints(rows) };
    return this.history;
  }

  /** @param {Stitched} stitched */
  check(stitched) {
    const rows = newestOf(this.log.flat()), width = this.history?.width;
    if (width) assert.deepEqual(plainBins(stitched.bins), plainBins(byBins(rows, width)));
    else assert.deepEqual(plainPoints(stitched.points), plainPoints(byPoints(rows)));
  }
}

/** @param {Partial<Row>} some @returns {Row} */
const row = (some) => ({ agent: "a", attempt: 1, env: 0, episode: 0, revision: 1, p: 0, o: 0, last_seq: 0, return: 0, ...some });
/** @param {Row[]} rows in the order of the log */
const newestOf = (rows) => [...new Map(rows.map((one) => [keyOf(one), one])).values()];
/** @param {Row[]} rows @param {number} seed */
const shuffled = (rows, seed) => rows
  .map((one, i) => ({ one, at: ((i + 1) * ((seed % 7919) + 1)) % 7919 })).sort((a, b) => a.at - b.at).map(({ one }) => one);
/** @param {Row[]} rows */
function bySeries(rows) {
  /** @type {Map<string, Row[]>} */
  const found = new Map();
  for (const one of rows) found.set(one.agent, [...(found.get(one.agent) ?? []), one]);
  return found;
}
/** @param {Row[]} rows @param {number} width */
const byBins = (rows, width) => new Map([...bySeries(rows)].map(([name, mine]) => [name, binned(mine.map((one) => [one.last_seq, one.return]), width)]));
/** @param {Map<string, Bins>} bins */
const plainBins = (bins) => [...bins].map(([name, mine]) => [name, [...mine].sort((a, b) => a[0] - b[0])]).sort();
/** @param {Row[]} rows @returns {History["points"]} */
const byPoints = (rows) => new Map([...bySeries(rows)].map(([name, mine]) => [name, mine.map((one) => [one.last_seq, one.return])]));
/** @param {History["points"]} points */
const plainPoints = (points) => [...points].map(([name, mine]) => [name, mine.map(([x, y]) => `${x} ${y}`).sort()]).sort();

test("whatever happens, the stitch is the reference, or says up to where history must be asked again", () => {
  let whole = 0, waited = 0;
  fc.assert(fc.property(fc.array(happening, { maxLength: 40 }), fc.constantFrom(0, 1, 16), (happenings, width) => {
    const world = new World();
    for (const what of happenings) {
      world.take(what);
      if (!["frame", "resume"].includes(what.kind) || !world.history) continue;
      const stitched = stitch(world.history, world.live, VIEW);
      if (stitched.wait) waited += 1;
      else {
        world.check(stitched);
        whole += 1;
      }
    }
    world.frame({ order: 1, again: 0, newest: false });
    const first = world.history ?? world.ask(width), { wait } = stitch(first, world.live, VIEW);
    if (wait) {
      for (const p in wait) world.committed[p] = Math.max(world.committed[p] ?? 0, wait[p]);
      world.ask(first.width);
    }
    const stitched = stitch(/** @type {History} */ (world.history), world.live, VIEW);
    assert.equal(stitched.wait, null);
    world.check(stitched);
  }), { numRuns: 1000 });
  assert.ok(whole > 50 && waited > 50, `${whole} whole, ${waited} waited: the property has both cases`);
});

test("a revision of an episode that is in a bin waits for a history that knows it, and is in no bin meanwhile", () => {
  const history = { below: { 0: 6 }, width: 4, bins: new Map([["a", binned([[9, 1]], 4)]]), points: new Map() };
  const live = noRows();
  absorb(live, [row({ episode: 3, last_seq: 9, revision: 2, o: 8, return: 100 })], { 0: 6 });
  const { bins, wait } = stitch(history, live, VIEW);
  assert.deepEqual(wait, { 0: 9 });
  assert.equal(bins.get("a")?.get(2)?.max, 1);
});

test("points of one series stay in order of x, wherever the live ones belong", () => {
  const live = noRows();
  absorb(live, [row({ o: 2, last_seq: 5, return: 2 }), row({ episode: 1, o: 3, last_seq: 1, return: 3 })], { 0: 2 });
  const history = { below: { 0: 2 }, width: 0, bins: new Map(), points: new Map([["a", /** @type {[number, number | null][]} */ ([[3, 1]])]]) };
  assert.deepEqual(stitch(history, live, VIEW).points.get("a"), [[1, 3], [3, 1], [5, 2]]);
});

test("what is outside of the range is left out, and history itself is never changed", () => {
  const live = noRows(), bins = new Map([["a", binned([[4, 1]], 4)]]);
  absorb(live, [row({ last_seq: 5 }), row({ episode: 1, o: 1, last_seq: 8 })], { 0: 0 });
  const stitched = stitch({ below: { 0: 0 }, width: 4, bins, points: new Map() }, live, { ...VIEW, from: 4, to: 8 });
  assert.deepEqual([...(stitched.bins.get("a") ?? [])].map(([index, bin]) => [index, bin.count]), [[1, 2]]);
  assert.equal(bins.get("a")?.get(1)?.count, 1);
});

test("without ClickHouse the live rows are the series", () => {
  const live = noRows();
  absorb(live, [row({ p: 3, o: 70 }), row({ p: 3, o: 71, revision: 2, return: 7 }), row({ p: 3, o: 72, episode: 1 })], {});
  assert.deepEqual(plainPoints(stitch(noHistory(live), live, VIEW).points), [["a", ["0 0", "0 7"]]]);
});

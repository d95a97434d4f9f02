// The stitch equals a reference computed from the whole log, whatever order, repeats, losses and resumes there were.
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import {binned} from "../../stream_apps/runbus/dashboard/page/lib/bins.js";
import {absorb, forget, keyOf, noHistory, noRows, stitch} from "../../stream_apps/runbus/dashboard/page/lib/stitch.js";

const VIEW = {series: (row) => row.agent, x: (row) => row.last_seq, y: (row) => row.return};
const PARTITION = {a: 0, b: 1, c: 1};

/** What happens, in any order: records, commits of the sink, frames, losses with resume, questions to history. */
const happening = fc.oneof(
  {weight: 5, arbitrary: fc.record({
    kind: fc.constant("record"), agent: fc.constantFrom("a", "b", "c"), episode: fc.nat(9), env: fc.nat(1),
    value: fc.oneof(fc.integer({min: -1000, max: 1000}), fc.constant(null)),
  })},
  {weight: 2, arbitrary: fc.record({kind: fc.constant("commit"), share: fc.nat(4)})},
  {weight: 4, arbitrary: fc.record({kind: fc.constant("frame"), order: fc.nat(), again: fc.nat(5), newest: fc.boolean()})},
  {weight: 1, arbitrary: fc.record({kind: fc.constant("resume"), order: fc.nat(), newest: fc.boolean()})},
  {weight: 2, arbitrary: fc.record({kind: fc.constant("history"), width: fc.constantFrom(0, 1, 4, 64)})},
  {weight: 1, arbitrary: fc.constant({kind: "forget"})},
);

/** The broker, the sink's commits and one client of them. */
class World {
  log = [[], []];
  committed = {}; // a partition that the sink has not committed in is not named
  sent = [0, 0];
  live = noRows();
  history = null;

  constructor() {
    absorb(this.live, [], {...this.committed});
  }

  record({agent, env, episode, value}) {
    const p = PARTITION[agent], key = keyOf({agent, attempt: 1, env, episode});
    const revision = 1 + this.log[p].filter((row) => keyOf(row) === key).length;
    const o = this.log[p].length * 2;  // every second offset is the marker of a transaction
    this.log[p].push({agent, attempt: 1, env, episode, revision, p, o, last_seq: episode * 7 + env, return: value});
  }

  commit({share}) {
    for (const p of [0, 1]) {
      const end = this.log[p].length * 2;
      if (end) this.committed[p] = Math.max(this.committed[p] ?? 0, end - Math.floor((end * share) / 4));
    }
  }

  frame({order, again, newest}) {
    const rows = [0, 1].flatMap((p) => this.log[p].slice(Math.max(0, this.sent[p] - again)));
    absorb(this.live, shuffled(newest ? newestOnly(rows) : rows, order));
    this.sent = this.log.map((part) => part.length);
  }

  resume({order, newest}) {
    const rows = [0, 1].flatMap((p) => this.log[p].filter((row) => row.o >= (this.committed[p] ?? 0)));
    absorb(this.live, shuffled(newest ? newestOnly(rows) : rows, order), {...this.committed});
    this.sent = this.log.map((part) => part.length);
  }

  ask({width}) {
    const rows = newestOnly(this.log.flat().filter((row) => row.o < (this.committed[row.p] ?? Infinity)));
    this.history = {below: {...this.committed}, width, bins: width ? byBins(rows, width) : new Map(), rows: width ? [] : rows};
  }

  forget() {
    if (this.history) forget(this.live, this.history.below);
  }

  reference() {
    return newestOnly(this.log.flat());
  }
}

const newestOnly = (rows) => [...new Map(rows.map((row) => [keyOf(row), row])).values()];
const shuffled = (rows, seed) => rows.map((row, i) => [((i + 1) * (seed % 7919 + 1)) % 7919, row]).sort((a, b) => a[0] - b[0]).map(([, row]) => row);
const series = (rows) => Object.fromEntries(Map.groupBy ? Map.groupBy(rows, VIEW.series) : grouped(rows));

function grouped(rows) {
  const found = new Map();
  for (const row of rows) found.set(row.agent, [...(found.get(row.agent) ?? []), row]);
  return found;
}

const byBins = (rows, width) => new Map(Object.entries(series(rows)).map(([name, of]) => [name, binned(of.map((r) => [r.last_seq, r.return]), width)]));
const plainBins = (bins) => Object.fromEntries([...bins].sort().map(([name, of]) => [name, [...of].sort((a, b) => a[0] - b[0])]));
const plainPoints = (points) => Object.fromEntries([...points].sort().map(([name, rows]) => [name, rows.map((r) => [keyOf(r), r.revision]).sort()]));

function assertReference(world, stitched) {
  const {width} = world.history, rows = world.reference();
  if (width) assert.deepEqual(plainBins(stitched.bins), plainBins(byBins(rows, width)));
  else assert.deepEqual(plainPoints(stitched.points), plainPoints(new Map(Object.entries(series(rows)))));
}

test("whatever happens, the stitch is the reference, or says up to where history must be asked again", () => {
  let whole = 0, waited = 0;
  fc.assert(fc.property(fc.array(happening, {maxLength: 40}), fc.constantFrom(0, 1, 16), (happenings, width) => {
    const world = new World();
    for (const what of happenings) {
      world[what.kind === "history" ? "ask" : what.kind](what);
      if (!["frame", "resume"].includes(what.kind) || !world.history) continue;
      const stitched = stitch(world.history, world.live, VIEW);
      if (stitched.wait) waited += 1;
      else assertReference(world, stitched), whole += 1;
    }
    world.frame({order: 1, again: 0, newest: false});
    if (!world.history) world.ask({width});
    const {wait} = stitch(world.history, world.live, VIEW);
    if (wait) {
      for (const p in wait) world.committed[p] = Math.max(world.committed[p] ?? 0, wait[p]);
      world.ask(world.history);
    }
    const stitched = stitch(world.history, world.live, VIEW);
    assert.equal(stitched.wait, null);
    assertReference(world, stitched);
  }), {numRuns: 1500});
  assert.ok(whole > waited && waited > 0, `${whole} whole, ${waited} waited: the property has both cases`);
});

test("a revision of an episode that is in a bin waits for a history that knows it, and is in no bin meanwhile", () => {
  const first = {agent: "a", attempt: 1, env: 0, episode: 3, revision: 1, p: 0, o: 5, last_seq: 9, return: 1};
  const history = {below: {0: 6}, width: 4, bins: new Map([["a", binned([[9, 1]], 4)]]), rows: []};
  const live = noRows();
  absorb(live, [{...first, revision: 2, o: 8, return: 100}], {0: 6});
  const {bins, wait} = stitch(history, live, VIEW);
  assert.deepEqual(wait, {0: 9});
  assert.equal(bins.get("a").get(2).max, 1);
});

test("what is outside of the range is left out, and history itself is never changed", () => {
  const live = noRows(), row = {agent: "a", attempt: 1, env: 0, episode: 0, revision: 1, p: 0, o: 0, last_seq: 5, return: 2};
  absorb(live, [row, {...row, episode: 1, o: 1, last_seq: 8}], {0: 0});
  const bins = new Map([["a", binned([[4, 1]], 4)]]), history = {below: {0: 0}, width: 4, bins, rows: []};
  const stitched = stitch(history, live, {...VIEW, from: 4, to: 8});
  assert.equal(stitched.bins.get("a").get(1).count, 2);
  assert.equal(stitched.bins.get("a").size, 1);
  assert.equal(bins.get("a").get(1).count, 1);
});

test("without ClickHouse the live rows are the series", () => {
  const live = noRows(), row = {agent: "a", attempt: 1, env: 0, episode: 0, revision: 1, p: 3, o: 70, last_seq: 5, return: 2};
  absorb(live, [row, {...row, revision: 2, o: 71}], {});
  assert.deepEqual(plainPoints(stitch(noHistory(live), live, VIEW).points), {a: [[keyOf(row), 2]]});
});

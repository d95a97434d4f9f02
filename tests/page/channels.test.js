/** The channels: any frames, doubled, repeated after a snapshot, or lost and asked for again, end as the server has it. */
import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import {Channels} from "../../stream_apps/runbus/dashboard/page/lib/channels.js";

/**
 * A server in small: rows by key, and what changed since a revision.
 */
class Server {
  constructor() {
    /** @type {Map<string, {value: number}>} */
    this.rows = new Map();
    /** @type {string[]} */
    this.log = [];
  }

  /** @param {string} key @param {number | null} value */
  change(key, value) {
    if (value === null) this.rows.delete(key);
    else this.rows.set(key, {value});
    this.log.push(key);
  }

  /** @param {number} since @param {number} until */
  frame(since, until) {
    const keys = since ? this.log.slice(since, until) : [...this.rows.keys()];
    const up = Object.fromEntries(keys.map((key) => [key, this.rows.get(key) ?? null]));
    return {t: until, ...(since ? {} : {whole: true}), up: {runs: up}};
  }
}

const change = fc.record({does: fc.constant("change"), key: fc.constantFrom("a", "b", "c", "d"), value: fc.option(fc.nat(9))});
const look = fc.record({does: fc.constantFrom("frame", "twice", "lost", "restart")});

test("whatever is lost, doubled or begun anew, the rows end as the server has them", () => {
  fc.assert(fc.property(fc.array(fc.oneof(change, look), {maxLength: 60}), (story) => {
    const server = new Server();
    const page = new Channels();
    let since = 0;
    const get = () => {
      page.take(server.frame(since, server.log.length));
      since = server.log.length;
    };
    for (const event of story) {
      const {does} = event;
      if (event.does === "change") server.change(event.key, event.value);
      if (does === "frame") get();
      if (does === "twice") {
        const again = server.frame(since, server.log.length);
        get();
        page.take(again);
      }
      if (does === "restart") since = 0; // another boot: everything comes anew
    }
    get();
    assert.deepEqual(new Map(page.of("runs").rows), server.rows);
  }));
});

test("a whole frame takes away what is not in it, in channels that it does not name too", () => {
  const page = new Channels();
  page.take({t: 1, whole: true, up: {runs: {a: {n: 1}, b: {n: 2}}, totals: {"": {n: 3}}}});
  page.take({t: 2, whole: true, up: {runs: {b: {n: 4}}}});
  assert.deepEqual([...page.of("runs").rows], [["b", {n: 4}]]);
  assert.equal(page.of("totals").rows.size, 0);
  assert.equal(page.of("runs").snapshots, 2);
});

test("a frame without rows, a beat, wakes nobody and moves what history has", () => {
  const page = new Channels();
  const before = page.of("runs").version.value;
  page.take({t: 1, below: {"steps:0": 7}, skip: 2});
  assert.equal(page.of("runs").version.value, before);
  assert.deepEqual(page.below.value, {"steps:0": 7});
  assert.equal(page.skipped.value, 2);
});

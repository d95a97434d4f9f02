import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { arrange, groupable, nextSort, order } from "../../stream_apps/runbus/dashboard/page/lib/runlist.js";

/** @typedef {import("../../stream_apps/runbus/dashboard/page/lib/channels.js").Row} Row */
/** @type {Row[]} */
const ROWS = [
  { run: "a", state: "completed", started_at: 3, steps: 10, mean_return: 1, labels: { env: "walk" }, config: { algo: "ppo", lr: 0.01 } },
  { run: "b", state: "running", started_at: 1, steps: 30, mean_return: null, labels: { env: "walk" }, config: { algo: "dqn", lr: 0.1 } },
  { run: "c", state: "stalled", started_at: 2, steps: 20, mean_return: 3, labels: {}, config: { algo: "ppo", lr: 0.1 } },
  { run: "d", state: "failed", started_at: 4, steps: 5, mean_return: 5, labels: {}, config: {} },
];
const VIEW = { q: "", group: "", sort: "", pins: /** @type {string[]} */ ([]) };
/** @param {import("../../stream_apps/runbus/dashboard/page/lib/runlist.js").Item[]} items */
const names = (items) => items.map((item) => ("row" in item ? item.row.run : `${item.group}:`)).join(" ");

test("what runs comes first, then the newest", () => assert.equal(names(arrange(ROWS, VIEW).items), "c b d a"));

for (const [sort, wanted] of [["steps", "d a c b"], ["-steps", "b c a d"], ["mean_return", "a c d b"], ["-mean_return", "d c a b"], ["-config.lr", "b c a d"], ["run", "a b c d"]]) {
  test(`sorted by ${sort}; a run without the field is last`, () => assert.equal(names([...ROWS].sort(order(sort)).map((row) => ({ row, pinned: false }))), wanted));
}

test("pinned runs come first in their order, whatever the filter says, and once", () => {
  assert.equal(names(arrange(ROWS, { ...VIEW, q: "state:running", pins: ["d", "gone", "a"] }).items), "d a b");
  assert.equal(names(arrange(ROWS, { ...VIEW, pins: ["b"] }).items), "b c d a");
});

test("groups have a head that sums its runs up; a shut one shows only that", () => {
  const { items } = arrange(ROWS, { ...VIEW, group: "algo", sort: "run", shut: new Set(["dqn"]) });
  assert.equal(names(items), "dqn: ppo: a c none: d");
  assert.deepEqual(items[1], { group: "ppo", runs: 2, running: 1, steps: 30, returns: { mean: 2, low: 1, high: 3, runs: 2 }, shut: false });
});

test("groups of numbers are in the order of numbers", () => {
  const rows = [10, 9, 100].map((seed) => ({ run: `s${seed}`, config: { seed } }));
  assert.equal(names(arrange(rows, { ...VIEW, group: "seed" }).items), "9: s9 10: s10 100: s100");
});

test("an empty list names the clause that emptied it, and a wrong clause", () => {
  assert.equal(arrange(ROWS, { ...VIEW, q: "algo:ppo algo:sarsa" }).emptying, "algo:sarsa");
  assert.equal(arrange(ROWS, { ...VIEW, q: "steps>" }).wrong?.clause, "steps>");
});

test("a column is sorted down, then up, then not", () => {
  assert.deepEqual([nextSort("", "steps"), nextSort("-steps", "steps"), nextSort("steps", "steps"), nextSort("run", "steps")], ["-steps", "steps", "", "-steps"]);
});

test("what has another value in each run is nothing to group by", () => {
  const rows = [1, 2, 3].map((seed) => ({ run: String(seed), labels: { env: "walk" }, config: { seed, algo: seed > 1 ? "ppo" : "dqn" } }));
  assert.deepEqual(groupable(rows), ["algo", "env"]);
});

test("each run is there once, in whatever way the list is shown", () => {
  const row = fc.record({ run: fc.string(), state: fc.constantFrom("running", "failed"), started_at: fc.integer(), config: fc.dictionary(fc.string(), fc.jsonValue()) });
  fc.assert(fc.property(fc.uniqueArray(row, { selector: (one) => one.run }), fc.string(), fc.string(), fc.array(fc.string()), (rows, group, sort, pins) => {
    const found = arrange(rows, { q: "", group, sort, pins: [...new Set(pins)] }).items.flatMap((item) => ("row" in item ? [item.row.run] : []));
    assert.deepEqual(found.sort(), rows.map((one) => one.run).sort());
  }));
});

test("runs that are pinned for everybody follow those of the address, and count if they fit", () => {
  const rows = ["a", "b", "c", "d"].map((run) => ({ run, state: "completed", started_at: 1, pinned: run === "d" || run === "b" }));
  const view = { q: "run:b,c", group: "", sort: "run", pins: ["d"] };
  const { items, kept } = arrange(rows, view);
  assert.deepEqual(items.map((item) => ("row" in item ? [item.row.run, item.pinned] : [])), [["d", true], ["b", true], ["c", false]]);
  assert.equal(kept, 2);
});

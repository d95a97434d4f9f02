// What the server answers becomes history by line, and what was stitched becomes series in the chart's units.
import assert from "node:assert/strict";
import { test } from "node:test";
import { historyOf, lineOf, positions, seriesOf, unitsOf, viewOf } from "../../stream_apps/runbus/dashboard/page/lib/curve.js";
import { binned } from "./reference.js";

const FRESH = { below: { "runbus.episodes:0": 7, "runbus.episodes:12": 3, "runbus.steps:0": 99 } };

test("positions are those of the topic, whatever its prefix", () => {
  assert.deepEqual(positions(FRESH.below, "episodes"), { 0: 7, 12: 3 });
  assert.deepEqual(positions({ "episodes:1": 4, "my-episodes:2": 5 }, "episodes"), { 1: 4 });
});

test("points go to their lines in order of x; what is not finite is null", () => {
  const columns = { agent: ["b", "a", "a"], attempt: [1, 2, 1], x: [3, 9, 2], y: [1, NaN, 5] };
  const history = historyOf({ rows: 3, width: 0, fresh: FRESH, columns }, "agent", "episodes");
  assert.deepEqual([...history.points], [["b", [[3, 1]]], ["a", [[2, 5], [9, null]]]]);
  assert.deepEqual(history.below, { 0: 7, 12: 3 });
  assert.deepEqual([...historyOf({ rows: 3, width: 0, columns }, "stream", "episodes").points.keys()], ["b/1", "a/2", "a/1"]);
});

test("bins keep the server's figures, and a live value goes into them exactly", () => {
  const columns = { agent: ["a"], attempt: [-1], bin: [8], count: [3], bad: [1], min: [-1], max: [5], sum: [6], first: [-1], last: [2], p10: [-0.4], p90: [4.4] };
  const { bins } = historyOf({ rows: 1, width: 4, columns }, "agent", "episodes");
  const bin = bins.get("a")?.get(2);
  assert.deepEqual([bin?.count, bin?.gaps, bin?.min, bin?.max, bin?.sum, bin?.p90], [3, 1, -1, 5, 6, 4.4]);
  const [series] = seriesOf({ bins, points: new Map() }, 4, { run: "r", kind: "seq", by: "agent", all: "", agents: ["x"] });
  assert.deepEqual([series.label, series.x, series.y, series.min, series.max, series.p10, series.gaps], ["a", [9.5], [2], [-1], [5], [-0.4], 1]);
});

test("times are milliseconds for the chart, and a line keeps the colour of its agent", () => {
  assert.deepEqual(["seq", "time", "relative"].map((kind) => unitsOf(/** @type {any} */ (kind))), [1, 1000, 1000]);
  const bins = new Map([["x/7", binned([[2_000_000, 1], [2_000_001, NaN]], 1)]]);
  const [series] = seriesOf({ bins, points: new Map() }, 1, { run: "r", kind: "time", by: "stream", all: "", agents: ["x"] });
  const [agent] = seriesOf({ bins: new Map(), points: new Map([["x", [[1, 2]]]]) }, 0, { run: "r", kind: "seq", by: "agent", all: "", agents: ["x"] });
  assert.deepEqual([series.x, series.y, series.gaps], [[2000, 2000.001], [1, null], 1]);
  assert.deepEqual(series.look, agent.look);
});

test("a row lies at its own place of each axis, and another agent's nowhere", () => {
  const row = { agent: "a", attempt: 4, env: 0, episode: 6, revision: 1, p: 0, o: 0, last_seq: 70, last_ts: 1500, return: 2, length: 9 };
  const at = (/** @type {any} */ kind, agent = "") => viewOf({ y: "length", kind, by: "stream", origin: 1000, agent });
  assert.deepEqual(["seq", "episode", "time", "relative"].map((kind) => at(kind).x(row)), [70, 6, 1500, 500]);
  assert.deepEqual([at("seq").y(row), at("seq").series(row), lineOf("run", "a", 4)], [9, "a/4", ""]);
  assert.ok(Number.isNaN(at("seq", "b").x(row)));
});

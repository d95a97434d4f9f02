// Arms of a comparison: each line is of its own runs, and hiding one changes no other, in numbers or looks.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { armsOf, curvesOf, differences, pairsOf } from "../../stream_apps/runbus/dashboard/page/lib/arms.js";
import { looks } from "../../stream_apps/runbus/dashboard/page/lib/colour.js";

const names = fc.uniqueArray(fc.string({ maxLength: 12 }), { minLength: 1, maxLength: 32 });

test("hiding arms changes no other line", () => {
  fc.assert(fc.property(names, fc.array(fc.boolean(), { minLength: 32, maxLength: 32 }), (arms, keep) => {
    const rows = arms.length * 2, bins = arms.flatMap(() => [0, 8]);
    const column = (/** @type {number} */ add) => bins.map((bin, i) => bin + i + add);
    const columns = { arm: arms.flatMap((arm) => [arm, arm]), bin: bins, iqm: column(0), iqm_low: column(-1), iqm_high: column(1) };
    const answer = { columns, rows, width: 8 }, hidden = new Set(arms.filter((_, i) => !keep[i]));
    const all = curvesOf(answer, "iqm", new Set());
    assert.deepEqual(curvesOf(answer, "iqm", hidden), all.filter((line) => !hidden.has(line.key)));
    assert.deepEqual(all[0].x, [3.5, 11.5]);
  }));
});

test("up to 32 names have 32 looks, whatever they are", () => {
  fc.assert(fc.property(names, (all) => {
    assert.equal(new Set([...looks(all).values()].map((one) => JSON.stringify(one))).size, all.length);
  }));
});

test("the best arm is first; where there are too few runs there is no interval and no band", () => {
  const columns = {
    arm: ["a", "b"], bin: [0, 0], runs: [["a-1"], ["b-1", "b-2"]], scores: [[1], [2, 4]], seeds: [1, 2], strata: [1, 1], episodes: [9, 9],
    mean: [1, 3], mean_low: [null, 2], mean_high: [null, 4],
  };
  const arms = armsOf({ columns, rows: 2 }, "mean");
  assert.deepEqual(arms.map((arm) => [arm.arm, arm.at, arm.low]), [["b", 3, 2], ["a", 1, null]]);
  const [a, b] = curvesOf({ columns, rows: 2, width: 1 }, "mean", new Set());
  assert.deepEqual([a.min, b.min, b.p90], [undefined, [2], [4]]);
});

test("a pair stands once, the better one first", () => {
  const columns = { arm: ["a", "b", "a", "c"], other: ["b", "a", "c", "a"], probability: [0.2, 0.8, 0.5, 0.5], low: [null, 0.6, null, null], high: [null, 0.9, null, null] };
  assert.deepEqual(pairsOf({ columns, rows: 4 }, new Set()).map(({ arm, other, p }) => [arm, other, p]), [["b", "a", 0.8], ["a", "c", 0.5]]);
  assert.deepEqual(pairsOf({ columns, rows: 4 }, new Set(["c"])).map(({ arm }) => arm), ["b"]);
});

test("settings that differ: what most have is plain, the others stand out", () => {
  const rows = differences({ lr: { x: 0.1, y: 0.1, z: 0.2 }, "net.kind": { x: "mlp", z: null } }, ["x", "y", "z"]);
  assert.deepEqual(rows[0], { setting: "lr", cells: [{ text: "0.1", other: false }, { text: "0.1", other: false }, { text: "0.2", other: true }] });
  assert.deepEqual(rows[1].cells.map((cell) => cell.text), ["mlp", "not set", "null"]);
});

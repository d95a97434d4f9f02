// Bins keep extremes, counts and ends of a series, whatever the order of its points and however wide they get.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { binOf, indexOf, mean, merged, middle, put } from "../../stream_apps/runbus/dashboard/page/lib/bins.js";
import { binned } from "./reference.js";

const value = fc.oneof({weight: 9, arbitrary: fc.integer({min: -1e6, max: 1e6})}, fc.constantFrom(NaN, Infinity, -Infinity, null));
const points = fc.array(fc.tuple(fc.nat(5000), value), {maxLength: 200});
const width = fc.nat(10).map((power) => 2 ** power);
/** @param {import("../../stream_apps/runbus/dashboard/page/lib/bins.js").Bins} bins */
const sorted = (bins) => [...bins].sort((a, b) => a[0] - b[0]);

test("a bin says of its points what a look at all of them says", () => {
  fc.assert(fc.property(points, width, (all, w) => {
    for (const [index, bin] of binned(all, w)) {
      const mine = all.filter(([x]) => x >= index * w && x < (index + 1) * w);
      const finite = mine.flatMap(([x, y]) => (y !== null && Number.isFinite(y) ? [[x, y]] : [])).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      const ys = finite.map(([, y]) => y);
      assert.equal(bin.gaps, mine.length - finite.length);
      assert.equal(bin.count, finite.length);
      if (!finite.length) return assert.ok(Number.isNaN(bin.min) && mean(bin) === null);
      assert.equal(bin.min, Math.min(...ys));
      assert.equal(bin.max, Math.max(...ys));
      assert.equal(bin.sum, ys.reduce((a, b) => a + b));
      assert.deepEqual([bin.firstX, bin.first], finite[0]);
      assert.deepEqual([bin.lastX, bin.last], finite.at(-1));
    }
  }));
});

test("any order and any cut into parts gives the same bins", () => {
  fc.assert(fc.property(points, fc.nat(200), width, (all, cut, w) => {
    const one = binned(all.slice(cut).reverse(), w);
    for (const [index, bin] of binned(all.slice(0, cut), w)) put(one, index, bin);
    assert.deepEqual(sorted(one), sorted(binned(all, w)));
  }));
});

test("two bins side by side are together the bin of twice the width: no edge moves", () => {
  fc.assert(fc.property(points, width, (all, w) => {
    const wide = new Map();
    for (const [index, bin] of binned(all, w)) put(wide, Math.floor(index / 2), bin);
    assert.deepEqual(sorted(wide), sorted(binned(all, w * 2)));
  }));
});

test("times in microseconds have exact bins, drawn in the middle of what is in them", () => {
  const now = 1_795_618_106_964_704, w = 2 ** 22, index = indexOf(now, w);
  assert.ok(index * w <= now && now < (index + 1) * w);
  assert.equal(middle(7, 1), 7);
  assert.equal(middle(3, 4), 13.5);
  assert.equal(merged(binOf(1, NaN), binOf(1, 3)).gaps, 1);
});

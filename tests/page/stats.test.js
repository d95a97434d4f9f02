// Smoothers look back only and go around what is not a number; places and nice numbers equal plain ones.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import {ema, nice, place, runningMedian} from "../../stream_apps/runbus/dashboard/page/lib/stats.js";

const series = fc.array(fc.oneof({weight: 8, arbitrary: fc.integer({min: -100, max: 100})}, fc.constantFrom(NaN, null, undefined, Infinity)), {maxLength: 60});
/** @param {(number | null | undefined)[][]} rows @returns {number[][]} those whose first number is one */
const numbers = (rows) => /** @type {number[][]} */ (rows.filter(([y]) => Number.isFinite(y)));
/** @param {(number | null | undefined)[]} ys */
const around = (ys) => ys.map((y) => (y === undefined ? undefined : Number.isFinite(y) ? 0 : null));

test("the average by x weighs each value by its distance, whatever lies between", () => {
  fc.assert(fc.property(series, fc.array(fc.integer({min: 1, max: 50}), {minLength: 60, maxLength: 60}), (ys, steps) => {
    const xs = steps.map(((sum) => (step) => (sum += step))(0)), smooth = ema(xs, ys, 20);
    smooth.forEach((got, i) => {
      if (!Number.isFinite(ys[i])) return assert.equal(got, around(ys)[i]);
      const known = numbers(ys.slice(0, i + 1).map((y, k) => [y, 0.5 ** ((xs[i] - xs[k]) / 20)]));
      const want = known.reduce((sum, [y, weight]) => sum + y * weight, 0) / known.reduce((sum, [, weight]) => sum + weight, 0);
      assert.ok(Math.abs(Number(got) - want) < 1e-9);
    });
  }));
});

test("a later value changes nothing that is drawn already", () => {
  fc.assert(fc.property(series, series, (ys, more) => {
    const all = [...ys, ...more], xs = all.map((_, i) => i);
    assert.deepEqual(ema(xs, all, 3).slice(0, ys.length), ema(xs, ys, 3));
    assert.deepEqual(runningMedian(all, 5).slice(0, ys.length), runningMedian(ys, 5));
  }));
});

test("the running median is the median of the last values that are numbers", () => {
  fc.assert(fc.property(series, fc.integer({min: 1, max: 9}), (ys, size) => {
    runningMedian(ys, size).forEach((got, i) => {
      if (!Number.isFinite(ys[i])) return assert.equal(got, around(ys)[i]);
      const last = numbers(ys.slice(0, i + 1).map((y) => [y])).map(([y]) => y).slice(-size).sort((a, b) => a - b);
      assert.equal(got, (last[(last.length - 1) >> 1] + last[last.length >> 1]) / 2);
    });
  }));
});

test("a place is that of a sorted array", () => {
  fc.assert(fc.property(fc.array(fc.integer({min: -20, max: 20})), fc.integer({min: -21, max: 21}), (values, wanted) => {
    values.sort((a, b) => a - b);
    assert.equal(place(values, wanted), values.filter((value) => value < wanted).length);
  }));
});

test("nice numbers are 1, 2 or 5 times a power of ten, at or above the number", () => {
  assert.deepEqual([1, 1.2, 3, 7, 10, 999, 1001, 0.03, 0.2].map(nice), [1, 2, 5, 10, 10, 1000, 2000, 0.05, 0.2]);
});

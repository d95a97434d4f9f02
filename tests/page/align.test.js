// Series on one x axis keep every point of theirs, in order, and nothing else.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import {aligned, nearest} from "../../stream_apps/runbus/dashboard/page/lib/align.js";

const one = fc.array(fc.tuple(fc.nat(12), fc.oneof(fc.integer(), fc.constant(null))), {maxLength: 12})
  .map((points) => points.sort((a, b) => a[0] - b[0]));

test("every point of every series has a place, also when several lie at one x", () => {
  fc.assert(fc.property(fc.array(one, {maxLength: 5}), (all) => {
    const series = all.map((points) => ({x: points.map(([x]) => x), columns: [points.map(([, y]) => y), points.map(([x]) => -x)]}));
    const {xs, columns} = aligned(series);
    assert.deepEqual(xs, [...xs].sort((a, b) => a - b));
    all.forEach((points, s) => {
      const [ys, minus] = [columns[2 * s], columns[2 * s + 1]];
      assert.equal(ys.length, xs.length);
      assert.deepEqual(xs.map((x, i) => [x, ys[i], minus[i]]).filter(([, y]) => y !== undefined), points.map(([x, y]) => [x, y, -x]));
    });
    assert.ok(xs.every((_, i) => columns.some((column) => column[i] !== undefined)));
  }));
});

test("the nearest row has a value, none that has one is nearer, and none is too far", () => {
  fc.assert(fc.property(fc.uniqueArray(fc.nat(40)), fc.array(fc.boolean(), {minLength: 41, maxLength: 41}), fc.nat(40), fc.nat(9), (xs, has, x, within) => {
    xs.sort((a, b) => a - b);
    const found = nearest(xs, xs.map((at) => (has[at] ? at : undefined)), x, within);
    const far = Math.min(...xs.filter((at) => has[at]).map((at) => Math.abs(at - x)));
    if (far > within) assert.equal(found, -1);
    else assert.ok(has[xs[found]] && Math.abs(xs[found] - x) === far);
  }));
});

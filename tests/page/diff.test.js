// Two episodes: the first step in which they differ, and in what.
import assert from "node:assert/strict";
import {test} from "node:test";
import fc from "fast-check";
import {differences, firstDifference} from "../../stream_apps/runbus/dashboard/page/lib/diff.js";
import {step} from "./steps.js";

test("a step differs in the fields that differ, down to NaN and the dtype", () => {
  assert.deepEqual(differences(step(3), step(3)), []);
  assert.deepEqual(differences(step(3), step(3, {ts: 5, seq: 77, reward: 2})), ["reward"]);
  assert.deepEqual(differences(step(3, {reward: null}), step(3, {reward: null})), []);
  assert.deepEqual(differences(step(3), step(3, { action: {dtype: "<i4", shape: [], numbers: [1]} })), ["action"]);
  assert.deepEqual(differences(step(3), undefined), ["step"]);
});

test("the first difference is where one was put, whatever comes behind it", () => {
  fc.assert(fc.property(fc.nat(50), fc.array(fc.nat(50)), (length, changed) => {
    const a = Array.from({length}, (_, i) => step(i));
    const b = a.map((row, i) => (changed.includes(i) ? step(i, { observation: {dtype: "text", shape: [], text: "else"} }) : row));
    const expected = changed.filter((i) => i < length).sort((x, y) => x - y)[0];
    assert.equal(firstDifference((i) => a[i], (i) => b[i], 0, 60)?.step, expected);
  }));
});

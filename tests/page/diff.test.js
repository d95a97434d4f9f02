// Two episodes: in what a step of them differs.
import assert from "node:assert/strict";
import {test} from "node:test";
import {differences} from "../../stream_apps/runbus/dashboard/page/lib/diff.js";
import {step} from "./steps.js";

test("a step differs in the fields that differ, down to NaN and the dtype", () => {
  assert.deepEqual(differences(step(3), step(3)), []);
  assert.deepEqual(differences(step(3), step(3, {ts: 5, seq: 77, reward: 2})), ["reward"]);
  assert.deepEqual(differences(step(3, {reward: null}), step(3, {reward: null})), []);
  assert.deepEqual(differences(step(3), step(3, {action: {dtype: "<i4", shape: [], numbers: [1]}})), ["action"]);
  assert.deepEqual(differences(step(3), undefined), ["step"]);
});

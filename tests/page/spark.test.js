// The small line of returns in the list of runs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { line } from "../../stream_apps/runbus/dashboard/page/ui/spark.js";

test("the least is at the bottom, the largest at the top, and a gap begins another line", () => {
  assert.equal(line([0, 1, null, 0.5]), "M0.0 21.0L32.0 3.0M96.0 12.0");
  assert.equal(line([5, 5]), "M0.0 21.0L96.0 21.0");
  assert.equal(line([1, null]), "");
});

test("the largest numbers there are stay inside", () => {
  assert.equal(line([Number.MAX_VALUE, -Number.MAX_VALUE, 0]), "M0.0 3.0L48.0 21.0L96.0 12.0");
});

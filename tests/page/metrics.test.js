// Which metrics of a run have a panel, and on which axis.
import assert from "node:assert/strict";
import { test } from "node:test";
import { keyOf, metricsOf, shownOf } from "../../stream_apps/runbus/dashboard/page/lib/metrics.js";

const ANSWER = {
  rows: 6,
  columns: {
    name: ["loss", "lr", "entropy", "kl", "return", "loss"], axis: ["step", "step", "step", "step", "", "epoch"],
    placed: [1, 1, 1, 1, 0, 1], values: [9, 9, 9, 9, 2, 3], sources: [1, 1, 1, 1, 2, 1], last: [0.1, 0.2, 0.3, 0.4, 5, 0.6],
  },
};

test("the first four are shown, by axis, unless the address says which", () => {
  const all = metricsOf(ANSWER);
  assert.deepEqual([...shownOf(all, null)].map(([axis, shown]) => [axis, shown.map((one) => one.name)]), [["step", ["loss", "lr", "entropy", "kl"]]]);
  const chosen = shownOf(all, [":return", "epoch:loss", "gone:gone"]);
  assert.deepEqual([...chosen].map(([axis, shown]) => [axis, shown.map(keyOf)]), [["", [":return"]], ["epoch", ["epoch:loss"]]]);
  assert.equal(shownOf(all, []).size, 0);
});

test("one name on two axes is two metrics", () => {
  assert.equal(new Set(metricsOf(ANSWER).map(keyOf)).size, 6);
});

test("nothing is known before an answer", () => {
  assert.deepEqual(metricsOf(null), []);
});

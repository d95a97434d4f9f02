// Where the keys n, N, e and a go to.
import assert from "node:assert/strict";
import {test} from "node:test";
import fc from "fast-check";
import {StepCache} from "../../stream_apps/runbus/dashboard/page/lib/episode.js";
import {find} from "../../stream_apps/runbus/dashboard/page/lib/jump.js";
import {besideOf, idOf} from "../../stream_apps/runbus/dashboard/page/lib/identity.js";
import {step} from "./steps.js";

const anySteps = fc
  .array(
    fc.record({reward: fc.constantFrom(0, 0, 0, 1), status: fc.constantFrom("", "ok", "error"), action: fc.nat(1)}),
    {minLength: 1, maxLength: 40},
  )
  .map((rows) =>
    rows.map(({action, ...rest}, i) => step(i, {...rest, action: {dtype: "<i8", shape: [], numbers: [action]}})),
  );

test("a jump goes where a walk from step to step would stop", () => {
  fc.assert(
    fc.property(anySteps, fc.nat(39), (steps, start) => {
      const cache = new StepCache(8);
      for (let page = 0; page <= 5; page++)
        cache.put(
          page,
          steps.filter((one) => cache.pageOf(one.step) === page),
          true,
        );
      const extent = {first: 0, last: steps.length - 1};
      const from = Math.min(start, extent.last);
      const changes = (/** @type {number} */ i) =>
        i > 1 && steps[i].action.numbers?.[0] !== steps[i - 1].action.numbers?.[0];
      const rewards = (/** @type {number} */ i) => i > 0 && steps[i].reward !== 0;
      for (const [wanted, fits] of /** @type {const} */ ([
        ["reward", rewards],
        ["action", changes],
        ["error", (/** @type {number} */ i) => steps[i].status === "error"],
      ])) {
        const places = steps.map((_, i) => i).filter(fits);
        const [next, before] = [places.find((i) => i > from), places.findLast((i) => i < from)];
        assert.deepEqual(find(cache, from, 1, wanted, extent), next === undefined ? null : {step: next});
        assert.deepEqual(find(cache, from, -1, wanted, extent), before === undefined ? null : {step: before});
      }
    }),
  );
});

test("where the steps that are here end, the server is asked from there", () => {
  const cache = new StepCache(4);
  cache.put(
    0,
    [0, 1, 2, 3].map((i) => step(i, {reward: 0})),
    true,
  );
  assert.deepEqual(find(cache, 1, 1, "reward", {first: 0, last: 99}), {ask: 3});
});

test("an address names an episode, or none", () => {
  const id = {run: "a b", agent: "x", attempt: 17, env: 0, episode: 3};
  assert.deepEqual(idOf(new URLSearchParams("run=a+b&agent=x&attempt=17&episode=3")), id);
  for (const wrong of [
    "",
    "run=a&agent=x&attempt=17",
    "run=a&agent=x&attempt=no&episode=3",
    "run=a&agent=x&attempt=1&episode=-3",
  ])
    assert.equal(idOf(new URLSearchParams(wrong)), null);
  assert.deepEqual(besideOf("x/17/0/3", "a b"), id);
  assert.deepEqual(besideOf("a b/x/17/0/3", "other"), id);
  for (const wrong of [null, "", "x/17", "x/17/0/no"]) assert.equal(besideOf(wrong, "r"), null);
});

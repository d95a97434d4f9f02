// The steps that the page holds: what it says is missing, and what it asks for.
import assert from "node:assert/strict";
import {test} from "node:test";
import fc from "fast-check";
import {StepCache, waitFor, windowAround} from "../../stream_apps/runbus/dashboard/page/lib/episode.js";
import {step} from "./steps.js";

test("a step that a whole page lacks is lost; before that it is loading", () => {
  const cache = new StepCache(4);
  assert.deepEqual(cache.holes(2, 5), [{from: 2, to: 5, state: "loading"}]);
  cache.put(0, [step(0), step(3)], true);
  assert.deepEqual(cache.holes(0, 5), [
    {from: 1, to: 2, state: "lost"},
    {from: 4, to: 5, state: "loading"},
  ]);
  cache.append([step(5)]);
  assert.equal(cache.stateOf(5), "here");
});

test("a page that was cut by the end of the history is asked for again once there is more, unless the tail has it", () => {
  const cache = new StepCache(4);
  cache.put(1, [step(4), step(5)], false);
  assert.equal(cache.lacks(1, 5), false);
  assert.equal(cache.lacks(1, 6), true);
  cache.append([step(6)]);
  assert.equal(cache.lacks(1, 6), false);
});

test("the page under the cursor is asked for first, then the window, then ahead in the direction of play", () => {
  const cache = new StepCache(10);
  const view = {cursor: 45, from: 38, to: 62, ahead: 2, first: 0, last: 999};
  assert.deepEqual(cache.wanted({...view, direction: 1}), [4, 3, 5, 6, 7, 8]);
  assert.deepEqual(cache.wanted({...view, direction: -1}), [4, 3, 5, 6, 2, 1]);
  cache.put(
    4,
    Array.from({length: 10}, (_, i) => step(40 + i)),
    true,
  );
  assert.equal(cache.wanted({...view, direction: 1}).includes(4), false);
});

test("whatever comes in whatever order: what is held is bounded, the cursor's page stays, no step is two", () => {
  const arrival = fc.record({page: fc.nat(40), live: fc.boolean()});
  fc.assert(
    fc.property(fc.array(arrival, {maxLength: 80}), fc.nat(400), (arrivals, cursor) => {
      const cache = new StepCache(10, 5);
      for (const {page, live} of arrivals) {
        const steps = Array.from({length: 10}, (_, i) => step(page * 10 + i));
        if (live) cache.append(steps);
        else cache.put(page, steps, true);
        const had = cache.pages.has(cache.pageOf(cursor));
        cache.trim(cursor);
        assert.ok(cache.pages.size <= 5 && cache.tail.size <= 80);
        assert.equal(cache.pages.has(cache.pageOf(cursor)), had);
      }
      const numbers = cache.between(0, 420).map((row) => row.step);
      assert.deepEqual(
        numbers,
        [...new Set(numbers)].sort((a, b) => a - b),
      );
    }),
  );
});

test("requests keep their distance, and the first waits for nothing", () => {
  assert.equal(waitFor(-Infinity, 7, 500), 0);
  assert.equal(waitFor(100, 400, 500), 200);
  assert.equal(waitFor(100, 900, 500), 0);
});

test("the window holds the cursor, is as wide as there is room, and stands while the cursor moves inside", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(999), {minLength: 1}), fc.integer({min: 1, max: 300}), (cursors, room) => {
      let window = null;
      for (const cursor of cursors) {
        window = windowAround(window, cursor, room, {first: 0, last: 999});
        assert.equal(window.to - window.from + 1, room);
        assert.ok(window.from <= cursor && cursor <= window.to && window.from >= 0 && window.to <= 999);
      }
    }),
  );
  const window = windowAround(null, 500, 100, {first: 0, last: 999});
  assert.equal(windowAround(window, 520, 100, {first: 0, last: 999}), window);
});

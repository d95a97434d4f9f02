// The playback clock: where the cursor is, told by the time it is asked.
import assert from "node:assert/strict";
import {test} from "node:test";
import fc from "fast-check";
import * as playback from "../../stream_apps/runbus/dashboard/page/lib/playback.js";

const EXTENT = {first: 0, last: 100};

test("it plays at its speed, ends at the last step and is then over", () => {
  const played = playback.play(playback.paused(10), 1000, EXTENT);
  assert.equal(playback.at(played, 1950, EXTENT), 19);
  assert.equal(playback.at(played, 99_000, EXTENT), 100);
  assert.equal(playback.moving(played, 1950, EXTENT), true);
  assert.equal(playback.moving(played, 99_000, EXTENT), false);
  assert.equal(
    playback.at(playback.play(playback.paused(100), 0, EXTENT), 0, EXTENT),
    0,
    "play at the end begins again",
  );
});

test("a loop begins again behind the last step", () => {
  const looped = playback.play(playback.paused(99, {loop: true}), 0, EXTENT);
  assert.deepEqual(
    [0, 100, 200, 300].map((now) => playback.at(looped, now, EXTENT)),
    [99, 100, 0, 1],
  );
});

test("who follows is at the newest step, also when there are more", () => {
  const followed = playback.follow(playback.paused(3), 0, EXTENT);
  assert.equal(playback.at(followed, 0, {first: 0, last: 170}), 170);
  assert.equal(
    playback.at(playback.follow(followed, 0, EXTENT), 0, {first: 0, last: 170}),
    100,
    "and stays where it let go",
  );
  assert.equal(playback.seek(followed, 5, 0).follow, false);
});

const anyPlayback = fc.record({
  step: fc.integer({min: -50, max: 500}),
  since: fc.option(fc.integer({min: 0, max: 10_000}), {nil: null}),
  speed: fc.constantFrom(...playback.SPEEDS),
  loop: fc.boolean(),
  follow: fc.boolean(),
});
const anyExtent = fc.tuple(fc.nat(50), fc.nat(400)).map(([first, more]) => ({first, last: first + more}));

test("the cursor is always a step that there is", () => {
  fc.assert(
    fc.property(anyPlayback, anyExtent, fc.nat(20_000), (value, extent, now) => {
      const step = playback.at(value, now, extent);
      return Number.isInteger(step) && step >= extent.first && step <= extent.last;
    }),
  );
});

test("pausing and another speed move no cursor", () => {
  fc.assert(
    fc.property(anyPlayback, anyExtent, fc.nat(20_000), fc.constantFrom(-1, 1), (value, extent, now, by) => {
      const here = playback.at(value, now, extent);
      assert.equal(playback.at(playback.pause(value, now, extent), now + 5000, extent), here);
      assert.equal(playback.at(playback.faster(value, by, now, extent), now, extent), here);
    }),
  );
});

// The line of a whole episode: what a bin lacks is a hole, and nothing else is.
import assert from "node:assert/strict";
import {test} from "node:test";
import fc from "fast-check";
import {overviewOf} from "../../stream_apps/runbus/dashboard/page/lib/overview.js";

test("a bin with a step less is a hole, whatever came while the question was asked is none", () => {
  fc.assert(
    fc.property(
      fc.integer({min: 1, max: 16}),
      fc.nat(1),
      fc.nat(200),
      fc.array(fc.nat(200)),
      fc.nat(50),
      (width, first, more, gone, later) => {
        const last = first + more;
        const steps = Array.from({length: last + later + 1 - first}, (_, i) => first + i).filter(
          (step) => !gone.includes(step) || step > last,
        );
        /** @type {Map<number, number>} */
        const counts = new Map();
        for (const step of steps) counts.set(step - (step % width), (counts.get(step - (step % width)) ?? 0) + 1);
        const columns = {
          bin: [...counts.keys()],
          count: [...counts.values()],
          min: [...counts.keys()],
          max: [...counts.keys()],
        };
        const {holes} = overviewOf(columns, width, first, last);
        for (let step = first; step <= last; step++) {
          const inside = holes.some((hole) => hole.from <= step && step <= hole.to);
          const bin = step - (step % width);
          const lacks = gone.some((lost) => lost >= first && lost <= last && lost - (lost % width) === bin);
          // the newest bin may have got steps behind `last`, which hide one that it lacks
          if (bin + width - 1 <= last) assert.equal(inside, lacks);
        }
      },
    ),
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { clamp, showing, turned } from "../../stream_apps/runbus/dashboard/page/lib/window.js";

const list = fc.record({ count: fc.nat(100_000), size: fc.integer({ min: 1, max: 80 }), top: fc.integer({ min: -10, max: 100_010 }) });

test("the window stays inside the list", () => {
  fc.assert(fc.property(list, ({ top, size, count }) => {
    const found = clamp(top, size, count);
    assert.ok(found >= 0 && (found + size <= count || found === 0));
  }));
});

test("a row that is asked for is inside the window, and one that was stays where it is", () => {
  fc.assert(fc.property(list, fc.nat(99_999), ({ top, size, count }, wanted) => {
    fc.pre(count > 0);
    const at = wanted % count;
    const before = clamp(top, size, count);
    const after = showing(before, at, size, count);
    assert.ok(at >= after && at < after + size);
    if (at >= before && at < before + size) assert.equal(after, before);
  }));
});

test("small turns of the wheel add up", () => {
  const rest = { left: 0 };
  assert.deepEqual([10, 10, 10, 50, -80].map((pixels) => turned(rest, pixels, 20)), [0, 1, 0, 3, -4]);
});

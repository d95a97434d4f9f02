// Asking for pages: one request at a time, what is urgent first, at most twice a second while dragging.
import assert from "node:assert/strict";
import {afterEach, beforeEach, mock, test} from "node:test";
import fc from "fast-check";
import {StepCache} from "../../stream_apps/runbus/dashboard/page/lib/episode.js";
import {step} from "./steps.js";

const VIEW = {cursor: 0, from: 0, to: 9, direction: 1, ahead: 1, first: 0, last: 999};

/** @type {typeof import("../../stream_apps/runbus/dashboard/page/lib/pager.js")} */
let pager;
beforeEach(async () => {
  mock.timers.enable({apis: ["setTimeout"]});
  let now = 0;
  const tick = mock.timers.tick.bind(mock.timers);
  mock.method(performance, "now", () => now);
  mock.method(mock.timers, "tick", (/** @type {number} */ ms) => {
    now += ms;
    tick(ms);
  });
  Object.assign(globalThis, {window: globalThis, location: {pathname: "/", search: ""}});
  pager = await import("../../stream_apps/runbus/dashboard/page/lib/pager.js");
});
afterEach(() => {
  mock.restoreAll();
  mock.timers.reset();
});

/** Let what was promised happen. */
const settle = async () => {
  for (let turn = 0; turn < 30; turn++) await null;
};

/** A pager over pages of ten steps whose requests end when they are told to. */
function desk() {
  const cache = new StepCache(10);
  /** @type {{pages: number[], end: () => void, abort: AbortSignal}[]} */
  const asked = [];
  const load = (/** @type {number[]} */ pages, /** @type {AbortSignal} */ abort) =>
    new Promise((/** @type {(value: void) => void} */ done, broken) => {
      abort.addEventListener("abort", () => broken(new Error("taken back")));
      asked.push({
        pages,
        abort,
        end: () => {
          for (const page of pages)
            cache.put(
              page,
              Array.from({length: 10}, (_, i) => step(page * 10 + i)),
              true,
            );
          done();
        },
      });
    });
  return {cache, asked, pager: new pager.Pager((view) => cache.wanted(view), load)};
}

test("neighbours come in one request, and the next begins when it has come", async () => {
  const {asked, pager: one} = desk();
  one.need({...VIEW, cursor: 45, from: 41, to: 58}, false);
  assert.deepEqual(
    asked.map(({pages}) => pages),
    [[4, 5, 6]],
  );
  one.need({...VIEW, cursor: 46, from: 41, to: 58, ahead: 3}, false);
  assert.equal(asked.length, 1);
  asked[0].end();
  await settle();
  assert.deepEqual(asked[1].pages, [7, 8]);
  one.close();
});

test("a request for what nobody looks at any more is taken back, and may be asked again", async () => {
  const {asked, pager: one} = desk();
  one.need(VIEW, false);
  one.need({...VIEW, cursor: 500, from: 495, to: 505}, false);
  assert.equal(asked[0].abort.aborted, true);
  await settle();
  assert.deepEqual(asked[1].pages, [49, 50, 51]);
  one.need(VIEW, false);
  await settle();
  assert.deepEqual(asked[2].pages, [0, 1]);
  assert.equal(one.failed.peek(), null);
  one.close();
});

test("whatever is dragged however fast: two requests a second at most, and what is under the cursor comes in the end", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({cursor: fc.nat(999), after: fc.integer({min: 1, max: 90})}), {minLength: 1, maxLength: 60}),
      async (moves) => {
        const {asked, cache, pager: one} = desk();
        let passed = 0;
        for (const {cursor, after} of moves) {
          one.need({...VIEW, cursor, from: cursor, to: cursor}, true);
          mock.timers.tick(after);
          passed += after;
          asked.at(-1)?.end();
          await settle();
        }
        assert.ok(asked.length <= 1 + passed / 500, `${asked.length} requests in ${passed} ms`);
        mock.timers.tick(500);
        asked.at(-1)?.end();
        await settle();
        const {cursor} = moves[moves.length - 1];
        assert.equal(cache.stateOf(cursor), "here");
        one.close();
      },
    ),
    {numRuns: 60},
  );
});

test("a page that lacks a step that is not stored yet is asked for again, but not all the time", async () => {
  const cache = new StepCache(10);
  let asked = 0;
  const one = new pager.Pager(
    (view) => cache.wanted(view),
    async () => {
      asked += 1;
      cache.put(0, [step(0)], false);
    },
  );
  one.need({...VIEW, to: 3, last: 3, ahead: 0}, false);
  await settle();
  await settle();
  assert.equal(asked, 1);
  mock.timers.tick(1500);
  await settle();
  assert.equal(asked, 2);
  one.close();
});

test("pages together are beside each other and hold the one that was wanted", () => {
  fc.assert(
    fc.property(fc.nat(20), fc.array(fc.nat(20)), (page, others) => {
      const pages = pager.together(page, others);
      assert.ok(pages.includes(page) && pages.length <= 3);
      pages.forEach((one, i) => assert.ok(one === pages[0] + i && (one === page || others.includes(one))));
    }),
  );
});

// What is said here stands in the list at once, and gives way to what history has.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { held, rowOf } from "../../stream_apps/runbus/dashboard/page/lib/notes.js";

const RUN = { run: "r" };
/** @param {string} name @param {number} ts */
const tag = (name, ts) => rowOf(RUN, { kind: "tag" }, { name, sent_at: ts }, "");
/** @param {Record<string, any>[]} rows */
const names = (rows) => rows.map((row) => row.name);

test("what was put is there before history has it, the newest first, and once when it has", () => {
  const said = [{ row: tag("a", 5), removed: false }, { row: tag("b", 6), removed: false }];
  assert.deepEqual(names(held([], said)), ["b", "a"]);
  assert.deepEqual(names(held([tag("b", 6), tag("a", 5)], said)), ["b", "a"]);
});

test("what was removed is gone at once, and back if somebody put it there again since", () => {
  const said = [{ row: tag("a", 5), removed: true }];
  assert.deepEqual(held([tag("a", 3)], said), []);
  assert.deepEqual(names(held([tag("a", 9)], said)), ["a"]);
});

test("a row says what history will say of the place", () => {
  const place = { run: "r", agent: "w", attempt: 7, env: 0, episode: 3, step: 4 };
  const { author, ...row } = rowOf(place, { kind: "note", text: "x" }, { name: "n", sent_at: 1 }, "");
  assert.deepEqual(row, { kind: "note", name: "n", text: "x", agent: "w", attempt: 7, env: 0, episode: 3, step: 4, ts: 1 });
  assert.equal(author, "page");
});

test("whatever of it history has already, the same holds", () => {
  const changes = fc.array(fc.record({ name: fc.constantFrom("a", "b", "c"), removed: fc.boolean() }), { maxLength: 12 });
  fc.assert(fc.property(changes, fc.nat(12), (list, known) => {
    const said = list.map(({ name, removed }, i) => ({ row: tag(name, i + 1), removed }));
    /** @param {typeof said} part */
    const truth = (part) => {
      const rows = new Map();
      for (const { row, removed } of part) {
        rows.delete(row.name);
        if (!removed) rows.set(row.name, row);
      }
      return [...rows.values()].sort((x, y) => y.ts - x.ts);
    };
    const stored = truth(said.slice(0, Math.min(known, said.length)));
    assert.deepEqual(held(stored, said).map((row) => [row.name, row.ts]).sort(), truth(said).map((row) => [row.name, row.ts]).sort());
  }));
});

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { emptying, filter, oneOf } from "../../stream_apps/runbus/dashboard/page/lib/filter.js";

const cases = JSON.parse(readFileSync(new URL("filter_cases.json", import.meta.url), "utf8"));

for (const { q, clauses } of cases.parsed) {
  test(`read: ${q}`, () => {
    const found = filter(q);
    assert.equal(found.wrong, null);
    assert.deepEqual(found.clauses.map((clause) => [clause.field, clause.op, clause.value, clause.not]), clauses);
  });
}
for (const { q, clause } of cases.wrong) {
  test(`refused: ${q}`, () => assert.equal(filter(q).wrong?.clause, clause));
}
for (const { q, rows } of cases.kept) {
  test(`kept by ${q}`, () => {
    const found = filter(q);
    assert.deepEqual([...cases.rows.keys()].filter((index) => found.keeps(cases.rows[index])), rows);
  });
}

test("a missing quotation mark is said", () => {
  assert.match(filter('walk "two words').wrong?.why ?? "", /quotation/);
  assert.match(filter('name:"two').wrong?.why ?? "", /quotation/);
});

test("the clause that empties a list is named", () => {
  assert.equal(emptying(filter("walk algo:sarsa").clauses, cases.rows)?.text, "algo:sarsa");
  assert.equal(emptying(filter("walk swim").clauses, cases.rows), null);
});

test("any text is read without an exception, and the clauses that were read hold", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme", maxLength: 60 }), (text) => {
    const found = filter(text);
    for (const row of cases.rows) assert.equal(typeof found.keeps(row), "boolean");
  }));
});

test("a quoted word finds every name that holds it", () => {
  fc.assert(fc.property(fc.string({ minLength: 1 }), fc.string(), (part, rest) => {
    const quoted = `"${part.replace(/["\\]/g, "\\$&")}"`;
    assert.ok(filter(quoted).keeps({ run: rest + part }));
  }));
});

test("a filter for some runs keeps exactly them, whatever their names are", () => {
  const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 60, selector: (name) => name.toLowerCase() });
  fc.assert(fc.property(names, fc.string(), (runs, other) => {
    const { q, count } = oneOf(runs);
    assert.ok(q.length <= 2000 && count >= 1);
    const { keeps, wrong } = filter(q);
    assert.equal(wrong, null);
    for (const [index, run] of runs.entries()) assert.equal(keeps({ run }), index < count, q);
    if (!runs.some((run) => run.toLowerCase() === other.toLowerCase())) assert.equal(keeps({ run: other }), false);
  }));
});

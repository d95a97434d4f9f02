// What the list of runs says of the audit.
import assert from "node:assert/strict";
import { test } from "node:test";
import { lightOf } from "../../stream_apps/runbus/dashboard/page/lib/light.js";

test("wrong wins over everything, then what keeps it from counting, then what is being counted", () => {
  assert.equal(lightOf({ true: 5, moving: 2, false: 1, more: 0, trouble: "x" }).text, "1 wrong");
  assert.deepEqual(lightOf({ true: 5, trouble: "Kafka is away" }), { tone: "warn", text: "not known", title: "Kafka is away" });
  assert.equal(lightOf({ true: 5, moving: 2, more: 0, trouble: "" }).text, "counting");
  assert.equal(lightOf({ true: 5, more: 0, trouble: "" }).tone, "ok");
});

test("before anything is known nothing is claimed", () => {
  assert.equal(lightOf(undefined).text, "–");
  assert.equal(lightOf({ more: 0, trouble: "" }).tone, "");
});

test("streams that are not looked at are said", () => {
  assert.match(lightOf({ true: 200, more: 50, trouble: "" }).title, /50 more are not looked at/);
});

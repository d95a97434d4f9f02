// The keys that the help lists are those that do something.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { KEYS } from "../../stream_apps/runbus/dashboard/page/lib/keys.js";
import { WORDS } from "../../stream_apps/runbus/dashboard/page/ui/help.js";
import { PAGE, own } from "./sources.js";

const listeners = own(".js").filter((name) => !name.endsWith("keys.js") && !name.endsWith("help.js"));
const code = listeners.map((name) => readFileSync(join(PAGE, name), "utf-8")).join("\n");

for (const [key, name] of KEYS) {
  test(`${key} (${name}) has a listener`, () => {
    assert.match(code, new RegExp(String.raw`[{,\s]"?${name}"?(:|\()`));
  });
}

test("the help has words for each key, and for no other", () => {
  const told = Object.values(WORDS).flatMap((words) => Object.keys(words));
  assert.deepEqual(told.toSorted(), [...KEYS.values()].toSorted());
});

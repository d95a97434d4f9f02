// The keys that the help lists are those that do something.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { KEYS } from "../../stream_apps/runbus/dashboard/page/lib/keys.js";
import { PAGE, own } from "./sources.js";

const code = own(".js").filter((name) => !name.endsWith("keys.js")).map((name) => readFileSync(join(PAGE, name), "utf-8")).join("\n");

for (const { key, name } of KEYS) {
  test(`${key} (${name}) has a listener`, () => {
    assert.match(code, new RegExp(String.raw`[{,\s]"?${name}"?(:|\()`));
  });
}

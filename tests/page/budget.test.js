// What a first visit may cost: the page stays small because a larger one fails here.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { PAGE, needs, own, sent } from "./sources.js";

const KB = 1000;
/** @param {Iterable<string>} names */
const compressed = (names) => [...names].reduce((sum, name) => sum + gzipSync(sent(name), { level: 9 }).length, 0);
/** @param {Iterable<string>} names */
const ours = (names) => [...names].filter((name) => !name.startsWith("vendor/"));
const FRAME = ["index.html", "app.css", "vendor/uplot.css"].filter((name) => existsSync(join(PAGE, name)));
const FIRST = existsSync(join(PAGE, "app.js")) ? needs("app.js") : new Set();

test("the style sheet is at most 6 KB, compressed", () => {
  assert.ok(compressed(FRAME.filter((name) => name === "app.css")) <= 6 * KB);
});

test("our own modules that every page loads are at most 25 KB, compressed", () => {
  assert.ok(compressed(ours(FIRST)) <= 25 * KB);
});

/** @type {Record<string, string[]>} */
const SHEETS = {"pages/episode.js": ["episode.css"], "pages/world.js": ["episode.css"]};

for (const page of own(".js").filter((name) => name.startsWith("pages/"))) {
  test(`a cold load of ${page} is at most 70 KB, compressed`, () => {
    const bytes = compressed(new Set([...FRAME, ...FIRST, ...needs(page), ...(SHEETS[page] ?? [])]));
    assert.ok(bytes <= 70 * KB, `${bytes} bytes`);
  });
}

for (const view of ["ui/steps.js", "ui/transcript.js"]) {
  test(`a cold load of an episode with its first view, ${view}, is at most 70 KB, compressed`, () => {
    const bytes = compressed(new Set([...FRAME, ...FIRST, ...needs("pages/episode.js"), ...needs(view), "episode.css"]));
    assert.ok(bytes <= 70 * KB, `${bytes} bytes`);
  });
}

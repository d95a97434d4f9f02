// The traps of the browser are found in text, before a browser runs it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { own, text } from "./sources.js";
import { traps } from "./traps.js";

const BAD = [
  "el.innerHTML = name;",
  "html`<p dangerouslySetInnerHTML=${x} />`",
  "new DOMParser()",
  "setTimeout(\"go()\", 10)",
  "new Function('a')",
  "new Worker('./w.js')",
  "el.setAttribute('style', 'top: 1px')",
  "document.createElement('style')",
  "html`<b style=${wide}>x</b>`",
  "html`<b style=${{ width: 10 }}>x</b>`",
  "html`<b style=${{\n  color: 'red',\n  marginLeft: 4,\n}}>x</b>`",
  "html`<a href=\"javascript:alert(1)\">x</a>`",
  "fetch('https://elsewhere.example/x')",
  "html`<input type=\"range\" onInput=${(e) => e.x > 3}>`",
  "html`<br>`",
];
const GOOD = [
  "// innerHTML is refused",
  "/* new Worker(url)\n eval(1) */",
  "el.replaceChildren();",
  "html`<b style=${{ width: `${n}px`, opacity: 0.5, left: 0 }}>x</b>`",
  "html`<b style=${wide.value}>x</b>`",
  "html`<b style=\"font-weight: bold\">x</b>`",
  "html`<input type=\"range\" onInput=${(e) => { if (e.x > 3) go(); }} />`",
  "const SVG = 'http://www.w3.org/2000/svg';",
  "setTimeout(() => go(), 10)",
];

for (const source of BAD) test(`refused: ${source}`, () => assert.equal(traps(source).length, 1));
for (const source of GOOD) test(`allowed: ${source}`, () => assert.deepEqual(traps(source), []));

for (const name of own(".js")) test(`${name} has no trap`, () => assert.deepEqual(traps(text(name)), []));

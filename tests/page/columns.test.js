// The reader of columns takes what the server writes: the bytes here are laid out by hand as docs/dashboard-api.md says.
import assert from "node:assert/strict";
import { test } from "node:test";
import {readColumns} from "../../stream_apps/runbus/dashboard/page/lib/columns.js";

/**
 * Lay out parts of data behind a header, each at a multiple of 8.
 * @param {number} rows
 * @param {(at: number[]) => object[]} columns
 * @param {(Float64Array | BigInt64Array | Uint8Array | Uint32Array)[]} parts
 */
function laidOut(rows, columns, parts) {
  /** @type {number[]} */
  const starts = [];
  let size = 0;
  for (const part of parts) {
    starts.push(size);
    size += part.byteLength + (-part.byteLength & 7);
  }
  const described = columns(starts);
  let header = JSON.stringify({rows, query: "made", left_out: 3, columns: described});
  header += " ".repeat(-(4 + new TextEncoder().encode(header).length) & 7);
  const start = 4 + new TextEncoder().encode(header).length, bytes = new Uint8Array(start + size);
  new DataView(bytes.buffer).setUint32(0, start - 4, true);
  bytes.set(new TextEncoder().encode(header), 4);
  parts.forEach((part, i) => bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), start + starts[i]));
  return bytes.buffer;
}

test("each kind of column comes back as it was laid out", () => {
  const words = new TextEncoder().encode("añ"), lines = new TextEncoder().encode('{"a":1}');
  const parts = [
    Float64Array.of(1.5, NaN), BigInt64Array.of(2n ** 60n, -1n), Uint8Array.of(1, 0),
    Uint32Array.of(0, 3, 3), words, Uint32Array.of(0, 7, 7), lines, Uint32Array.of(0, 1, 3), Float64Array.of(7, 8, 9),
  ];
  const answer = readColumns(laidOut(2, (at) => [
    {name: "y", kind: "f8", at: at[0]}, {name: "big", kind: "i8", at: at[1]}, {name: "on", kind: "u1", at: at[2]},
    {name: "agent", kind: "text", at: at[3], data: at[4], bytes: words.length},
    {name: "raw", kind: "bytes", at: at[3], data: at[4], bytes: words.length},
    {name: "labels", kind: "json", at: at[5], data: at[6], bytes: lines.length},
    {name: "list", kind: "f8list", at: at[7], data: at[8], values: 3},
  ], parts));
  assert.deepEqual([answer.rows, answer.query, answer.left_out], [2, "made", 3]);
  const {y, big, on, agent, raw, labels, list} = answer.columns;
  assert.deepEqual([...y], [1.5, NaN]);
  assert.deepEqual([...big], [2n ** 60n, -1n]);
  assert.deepEqual([...on], [1, 0]);
  assert.deepEqual(agent, ["añ", ""]);
  assert.deepEqual([...raw[0]], [...words]);
  assert.deepEqual(labels, [{a: 1}, null]);
  assert.deepEqual(list.map((/** @type {Float64Array} */ part) => [...part]), [[7], [8, 9]]);
});

test("a kind that the page does not know is named", () => {
  const buffer = laidOut(1, (at) => [{name: "odd", kind: "q3", at: at[0], data: at[1], bytes: 0}], [Uint32Array.of(0, 0), new Uint8Array(0)]);
  assert.throws(() => readColumns(buffer), /column odd: its kind q3/);
});

// Bytes of actions and observations, read as the recorder wrote them.
import assert from "node:assert/strict";
import {test} from "node:test";
import fc from "fast-check";
import {decode} from "../../stream_apps/runbus/dashboard/page/lib/values.js";

const bytes = (/** @type {ArrayBufferView} */ view) => new Uint8Array(view.buffer);
const numbers = (/** @type {import("../../stream_apps/runbus/dashboard/page/lib/episode.js").Value} */ value) => [
  ...Array.from(value.numbers ?? []),
];

test("numbers of every dtype come back", () => {
  /** @type {[string, ArrayBufferView, number[]][]} */
  const cases = [
    ["|b1", new Uint8Array([1, 0]), [1, 0]],
    ["|u1", new Uint8Array([0, 255]), [0, 255]],
    ["|i1", new Int8Array([-1]), [-1]],
    ["<u2", new Uint16Array([65535]), [65535]],
    ["<i2", new Int16Array([-2]), [-2]],
    ["<u4", new Uint32Array([4e9]), [4e9]],
    ["<i4", new Int32Array([-7]), [-7]],
    ["<i8", new BigInt64Array([-5n]), [-5]],
    ["<u8", new BigUint64Array([2n ** 63n]), [2 ** 63]],
    ["<f4", new Float32Array([0.5, NaN]), [0.5, NaN]],
    ["<f8", new Float64Array([0.1, -Infinity]), [0.1, -Infinity]],
    ["<f2", new Uint16Array([0x3c00, 0xbc00, 0x0001, 0x7bff, 0x7c00, 0x7e00]), [1, -1, 2 ** -24, 65504, Infinity, NaN]],
  ];
  for (const [dtype, view, expected] of cases)
    assert.deepEqual(numbers(decode(dtype, [expected.length], bytes(view))), expected, dtype);
});

test("any float64 array comes back bit for bit, wherever it lies in the answer", () => {
  fc.assert(
    fc.property(fc.float64Array(), fc.nat(7), (array, offset) => {
      const held = new Uint8Array(array.byteLength + offset);
      held.set(bytes(array), offset);
      assert.deepEqual(numbers(decode("<f8", [array.length], held.subarray(offset))), [...array]);
    }),
  );
});

test("the parts of a struct are named, ragged and omitted ones too", () => {
  const dtype =
    'struct:["dict",[["pose",["<f4",[2]]],["said",["text",[]]],["ids",["<i4",[-1]]],["image",["omitted:|u1",[9,9,3]]],["pair",["tuple",[["|i1",[]],["|i1",[]]]]]]]';
  const part = (/** @type {number[]} */ ...values) => new Uint8Array(values);
  const body = [
    bytes(new Float32Array([1, 2])),
    part(2, 0, 0, 0, 104, 105),
    part(8, 0, 0, 0),
    bytes(new Int32Array([5, 6])),
    part(3, 255),
  ];
  const parts = decode(dtype, [], new Uint8Array(body.flatMap((piece) => [...piece]))).parts ?? [];
  assert.deepEqual(
    parts.map(({name, value}) => [name, value.dtype, value.shape, value.text ?? numbers(value)]),
    [
      ["pose", "<f4", [2], [1, 2]],
      ["said", "text", [], "hi"],
      ["ids", "<i4", [2], [5, 6]],
      ["image", "omitted:|u1", [9, 9, 3], []],
      ["pair[0]", "|i1", [], [3]],
      ["pair[1]", "|i1", [], [-1]],
    ],
  );
});

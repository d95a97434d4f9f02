/**
 * The bytes of an action or observation as numbers, text or parts, by their layout (docs/schemas.md). Pure.
 */
/** @typedef {import("./episode.js").Value} Value */

const utf8 = new TextDecoder("utf-8");

/** @type {Record<string, [number, (view: DataView, at: number) => number]>} bytes of one number, and how it is read */
const NUMBERS = {
  "|b1": [1, (view, at) => view.getUint8(at)],
  "|u1": [1, (view, at) => view.getUint8(at)],
  "|i1": [1, (view, at) => view.getInt8(at)],
  "<u2": [2, (view, at) => view.getUint16(at, true)],
  "<i2": [2, (view, at) => view.getInt16(at, true)],
  "<u4": [4, (view, at) => view.getUint32(at, true)],
  "<i4": [4, (view, at) => view.getInt32(at, true)],
  "<u8": [8, (view, at) => Number(view.getBigUint64(at, true))],
  "<i8": [8, (view, at) => Number(view.getBigInt64(at, true))],
  "<f2": [2, (view, at) => half(view.getUint16(at, true))],
  "<f4": [4, (view, at) => view.getFloat32(at, true)],
  "<f8": [8, (view, at) => view.getFloat64(at, true)],
};

/** A half-precision number (IEEE 754 binary16). @param {number} bits */
function half(bits) {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

/**
 * A value as it was recorded.
 * @param {string} dtype
 * @param {number[]} shape of a row; a ragged array has its own length in it
 * @param {Uint8Array} bytes
 * @returns {Value}
 */
export function decode(dtype, shape, bytes) {
  const value = {dtype, shape};
  if (dtype === "|u1") return {...value, numbers: bytes};
  if (dtype === "text" || dtype === "json") return {...value, text: utf8.decode(bytes)};
  if (dtype.startsWith("struct:")) return {...value, parts: partsOf(dtype, bytes)};
  return NUMBERS[dtype] && bytes.length ? {...value, numbers: numbersOf(dtype, bytes)} : value;
}

/** @param {string} dtype @param {Uint8Array} bytes */
function numbersOf(dtype, bytes) {
  const [size, read] = NUMBERS[dtype];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float64Array.from({length: Math.floor(bytes.length / size)}, (_, i) => read(view, i * size));
}

/**
 * The parts of a Dict or Tuple, one after another; a part of variable width has its length in front.
 * @param {string} dtype
 * @param {Uint8Array} bytes
 * @returns {{name: string, value: Value}[]}
 */
function partsOf(dtype, bytes) {
  /** @type {{name: string, value: Value}[]} */
  const found = [];
  let at = 0;
  const take = (/** @type {number} */ count) => bytes.subarray(at, (at += count));
  const walk = (/** @type {any[]} */ [kind, inner], /** @type {string} */ path) => {
    if (kind === "dict") for (const [key, part] of inner) walk(part, path ? `${path}.${key}` : `${key}`);
    else if (kind === "tuple")
      inner.forEach((/** @type {any[]} */ part, /** @type {number} */ i) => walk(part, `${path}[${i}]`));
    else found.push({name: path, value: leaf(kind, inner, take)});
  };
  walk(JSON.parse(dtype.slice("struct:".length)), "");
  return found;
}

/** @param {string} dtype @param {number[]} shape @param {(count: number) => Uint8Array} take @returns {Value} */
function leaf(dtype, shape, take) {
  if (dtype === "" || dtype.startsWith("omitted:")) return {dtype, shape};
  const size = NUMBERS[dtype]?.[0];
  const fixed = size !== undefined && shape[0] !== -1;
  const length = fixed ? size * shape.reduce((product, n) => product * n, 1) : lengthIn(take(4));
  const bytes = take(length);
  const rest = shape.slice(1).reduce((product, n) => product * n, 1);
  return decode(dtype, fixed || !size ? shape : [bytes.length / size / (rest || 1), ...shape.slice(1)], bytes);
}

/** @param {Uint8Array} bytes */
const lengthIn = (bytes) =>
  bytes.length === 4 ? new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true) : 0;

// Reads an answer of the history API that came as columns (`as=columns`): numbers without parsing. Its form is
// described in docs/dashboard-api.md.

/**
 * What the answer says (rows, fresh, query, left_out, ...) and its columns by name: Float64Array of numbers (NaN = not
 * there), BigInt64Array of whole numbers above 2^53, Uint8Array of booleans, else an array with a value a row.
 * @typedef {{rows: number, columns: Record<string, any>, [said: string]: any}} Answer
 */
/** @typedef {{name: string, kind: string, at: number, data: number, bytes: number, values: number}} Described */

const UTF8 = new TextDecoder();

/**
 * Return the columns of an answer. Numbers are views into its bytes, not copies.
 * @param {ArrayBuffer} buffer
 * @returns {Answer}
 */
export function readColumns(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(UTF8.decode(new Uint8Array(buffer, 4, length)));
  const start = 4 + length;
  const columns = header.columns.map((/** @type {Described} */ column) => [column.name, values(buffer, start, header.rows, column)]);
  return {...header, columns: Object.fromEntries(columns)};
}

/**
 * @param {ArrayBuffer} buffer
 * @param {number} start where the data begin
 * @param {number} rows
 * @param {Described} column
 */
function values(buffer, start, rows, {name, kind, at, data, bytes, values}) {
  if (kind === "f8") return new Float64Array(buffer, start + at, rows);
  if (kind === "i8") return new BigInt64Array(buffer, start + at, rows);
  if (kind === "u1") return new Uint8Array(buffer, start + at, rows);
  const ends = new Uint32Array(buffer, start + at, rows + 1);
  const all = kind === "f8list" ? new Float64Array(buffer, start + data, values) : new Uint8Array(buffer, start + data, bytes);
  const parts = Array.from({length: rows}, (_, i) => all.subarray(ends[i], ends[i + 1]));
  if (kind === "f8list" || kind === "bytes") return parts;
  const texts = parts.map((part) => UTF8.decode(/** @type {Uint8Array} */ (part)));
  if (kind === "text") return texts;
  if (kind === "json") return texts.map((text) => (text ? JSON.parse(text) : null));
  throw new TypeError(`column ${name}: its kind ${kind} is not known to this page; load it again`);
}

/**
 * Writes numbers, times and names as people read them. Pure.
 */

const UNITS = ["", " k", " M", " G", " T"];

/**
 * A count: 987, 12.3 k, 4.56 M.
 * @param {number | null | undefined} n
 */
export function count(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return "–";
  if (!Number.isFinite(n)) return n > 0 ? "∞" : "−∞";
  let unit = 0;
  let size = Math.abs(n);
  while (size >= 999.5 && unit < UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  const digits = unit === 0 && Number.isInteger(n) ? 0 : size < 10 ? 2 : size < 100 ? 1 : 0;
  return sign(n) + size.toFixed(digits) + UNITS[unit];
}

/**
 * A measured number with four significant digits; never in exponents between 0.001 and a million.
 * @param {number | null | undefined} x
 */
export function number(x) {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return x.toExponential(2).replace("-", "−");
  const digits = Number.isInteger(x) ? 0 : Math.max(0, 4 - Math.max(1, Math.ceil(Math.log10(size || 1))));
  return sign(x) + grouped(size.toFixed(Math.min(4, digits)));
}

/**
 * Every digit, in groups of three.
 * @param {number | null | undefined} n
 */
export function exact(n) {
  return n === null || n === undefined ? "–" : sign(n) + grouped(String(Math.abs(n)));
}

/**
 * How long: 0.25 s, 42 s, 3 min 07 s, 2 h 05 min, 3 d 4 h.
 * @param {number | null | undefined} ms
 */
export function duration(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return "–";
  const s = Math.max(0, ms) / 1000;
  if (s < 10) return `${s.toFixed(s < 1 ? 2 : 1)} s`;
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${two((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/**
 * How long ago, in one unit: now, 42 s ago, 3 min ago, 2 h ago, 3 d ago.
 * @param {number} ms
 */
export function ago(ms) {
  const s = Math.max(0, ms) / 1000;
  if (s < 2) return "now";
  if (s < 90) return `${Math.floor(s)} s ago`;
  if (s < 5400) return `${Math.round(s / 60)} min ago`;
  if (s < 129_600) return `${Math.round(s / 3600)} h ago`;
  return `${Math.round(s / 86_400)} d ago`;
}

/**
 * A moment of the reader's own time zone: 14:03:07.125, with its day if that is another one.
 * @param {number} us microseconds since the epoch
 * @param {number} [nowMs]
 */
export function moment(us, nowMs = Date.now()) {
  const at = new Date(us / 1000);
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return new Date(nowMs).toDateString() === at.toDateString() ? time : `${day} ${time}`;
}

/** @param {number} n */
function sign(n) {
  return n < 0 ? "−" : "";
}

/** @param {string} digits */
function grouped(digits) {
  const [whole, part] = digits.split(".");
  const spaced = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  return part === undefined ? spaced : `${spaced}.${part}`;
}

/** @param {number} n */
function two(n) {
  return String(Math.floor(n)).padStart(2, "0");
}

/** Two episodes side by side: where they first differ, and in what. Pure. */
/** @typedef {import("./episode.js").Step} Step */
/** @typedef {import("./episode.js").Value} Value */

/**
 * What two steps of the same number differ in: `action`, `observation`, `reward`, `terminated`, `truncated`; empty = nothing.
 * Where one of them is missing: `[]` if both are, `["step"]` if one is.
 * @param {Step | undefined} a
 * @param {Step | undefined} b
 * @returns {string[]}
 */
export function differences(a, b) {
  if (!a || !b) return a || b ? ["step"] : [];
  const fields = [];
  if (!sameValue(a.action, b.action)) fields.push("action");
  if (!sameValue(a.observation, b.observation)) fields.push("observation");
  if (!Object.is(a.reward, b.reward)) fields.push("reward");
  if (a.terminated !== b.terminated) fields.push("terminated");
  if (a.truncated !== b.truncated) fields.push("truncated");
  return fields;
}

/**
 * The first step in which two runs of steps differ.
 * @param {(step: number) => Step | undefined} a
 * @param {(step: number) => Step | undefined} b
 * @param {number} from
 * @param {number} to included
 * @returns {{step: number, fields: string[]} | null} null = they are the same
 */
export function firstDifference(a, b, from, to) {
  for (let step = from; step <= to; step++) {
    const fields = differences(a(step), b(step));
    if (fields.length) return {step, fields};
  }
  return null;
}

/** @param {Value} a @param {Value} b */
export function sameValue(a, b) {
  if (a.dtype !== b.dtype || a.text !== b.text || !sameList(a.shape, b.shape)) return false;
  return sameList(a.numbers ?? [], b.numbers ?? []);
}

/** @param {ArrayLike<number | null>} a @param {ArrayLike<number | null>} b */
function sameList(a, b) {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}

/** Two episodes side by side: in what a step of them differs. Pure. */
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

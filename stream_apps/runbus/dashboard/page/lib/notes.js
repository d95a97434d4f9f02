/**
 * Joins the annotations that history has with what was said in this page since. Pure.
 */

/** @typedef {import("./channels.js").Row} Row */
/** @typedef {{row: Row, removed: boolean}} Change something said here that history may not have yet */

/** What an annotation is: two with the same are one, of which the newer holds. @param {Row} row */
const keyOf = ({kind, name, agent, attempt, env, episode, step}) => JSON.stringify([kind, name, agent, attempt, env, episode, step]);

/**
 * Return the annotations that hold: those that history has, with what was said here since.
 * @param {Row[]} stored the newest first
 * @param {Change[]} said the oldest first
 */
export function held(stored, said) {
  const newer = new Map(said.map((change) => [keyOf(change.row), change]));
  const kept = stored.filter((row) => !(newer.get(keyOf(row))?.row.ts > row.ts));
  const known = new Set(kept.map(keyOf));
  return [...said.filter((one) => !one.removed && newer.get(keyOf(one.row)) === one && !known.has(keyOf(one.row))).map(({row}) => row).reverse(), ...kept];
}

/**
 * Return the row of an annotation as history will have it.
 * @param {import("./annotate.js").Place} place @param {import("./annotate.js").What} what @param {{name: string, sent_at: number}} written what the server answered
 * @param {string} author
 * @returns {Row}
 */
export function rowOf({agent = "", attempt = 0, env = -1, episode = -1, step = -1}, {kind, text = ""}, {name, sent_at: ts}, author) {
  return {kind, name, text, author: author || "page", agent, attempt, env, episode, step, ts};
}

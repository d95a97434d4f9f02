/**
 * Writes a list of any names into one parameter of the address, and reads it back. Pure.
 */

const BETWEEN = ",";

/**
 * Return the text of a list; that of an empty one is no empty text, as that would take the parameter away.
 * @param {Iterable<string>} names
 */
export const joined = (names) => [...names].map((name) => name.replace(/[%,]/g, encodeURIComponent)).join(BETWEEN) || BETWEEN;

/**
 * Return the names of a text that `joined` made; what is no such text is taken as it stands.
 * @param {string | null} text
 * @returns {string[]}
 */
export const parted = (text) => (text ?? "").split(BETWEEN).filter(Boolean).map((name) => name.replace(/%2C|%25/gi, decodeURIComponent));

/**
 * Gives each identity its own look, by a hash of its name: hiding one changes no other. Pure.
 *
 * The colours are Okabe and Ito's, which colour-blind people tell apart; dashes and labels say the same again.
 */

/** Names of custom properties of app.css, which have a value for each theme. */
export const COLOURS = ["--c0", "--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7"];
/** @type {number[][]} */
export const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];

/**
 * FNV-1a over the UTF-16 units of a text, 32 bits.
 * @param {string} text
 */
export function hash(text) {
  let found = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) found = Math.imul(found ^ text.charCodeAt(i), 0x01000193);
  found ^= found >>> 15;
  return Math.imul(found, 0x2c1b3c6d) >>> 0;
}

/**
 * Return the look of an identity: a custom property, and a dash pattern.
 * @param {string} identity for example `run/agent`
 */
export function look(identity) {
  const found = hash(identity);
  return {colour: COLOURS[found % COLOURS.length], dash: DASHES[Math.floor(found / COLOURS.length) % DASHES.length]};
}

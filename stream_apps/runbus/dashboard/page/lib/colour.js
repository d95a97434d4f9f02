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

/**
 * Return the looks of all identities of a page, each its own as long as there are enough: where two hash to the same,
 * the later name takes the next colour. What is hidden has to be among them, so that hiding changes no look.
 * @param {Iterable<string>} identities
 */
export function looks(identities) {
  const taken = new Set(), found = /** @type {Map<string, ReturnType<typeof look>>} */ (new Map());
  for (const identity of [...new Set(identities)].sort()) {
    const start = hash(identity) % (COLOURS.length * DASHES.length);
    let place = start;
    for (let i = 0; taken.has(place) && i < COLOURS.length * DASHES.length; i += 1) place = (start + i) % (COLOURS.length * DASHES.length);
    taken.add(place);
    found.set(identity, {colour: COLOURS[place % COLOURS.length], dash: DASHES[Math.floor(place / COLOURS.length) % DASHES.length]});
  }
  return found;
}

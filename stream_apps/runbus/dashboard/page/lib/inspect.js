/**
 * Shows what the page holds to tests and to curious people: `runbus.inspect()` in the console. Read only.
 */

/** @type {Map<string, () => unknown>} */
const exposed = new Map();

/**
 * Add something to what `runbus.inspect()` returns; the newest of a name wins.
 * @param {string} name
 * @param {() => unknown} say
 * @returns {() => void} takes it back
 */
export function expose(name, say) {
  exposed.set(name, say);
  return () => {
    if (exposed.get(name) === say) exposed.delete(name);
  };
}

/** @returns {Record<string, unknown>} */
export function inspect() {
  return Object.fromEntries([...exposed].map(([name, say]) => [name, say()]));
}

if (typeof window !== "undefined") Object.assign(window, {runbus: Object.freeze({inspect})});

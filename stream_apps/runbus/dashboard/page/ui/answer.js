/**
 * Asks history something, and again from time to time, for a component.
 */
import {useComputed, useEffect, useSignal} from "../lib/preact.js";
import {get} from "../lib/api.js";
import {current, now} from "../lib/live.js";

/**
 * @param {string} path
 * @param {import("../lib/route.js").Changes} params other ones ask at once
 * @param {number} [everyMs] while the page is live; Infinity: once
 */
export function useAnswer(path, params, everyMs = 10_000) {
  const answer = useSignal(/** @type {any} */ (null)), error = useSignal(/** @type {Error | null} */ (null));
  const turn = useComputed(() => Math.floor(now.value / everyMs));
  const asked = JSON.stringify([path, params]), before = useSignal(asked);
  useEffect(() => {
    if (before.value === asked && answer.peek() && current.peek()?.state.peek() !== "live") return undefined;
    before.value = asked;
    const abort = new AbortController();
    void ask(abort);
    return () => abort.abort();
  }, [asked, turn.value]);

  /** @param {AbortController} abort */
  async function ask(abort) {
    try {
      answer.value = await get(path, params, abort.signal);
      error.value = null;
    } catch (wrong) {
      if (!abort.signal.aborted) error.value = /** @type {Error} */ (wrong);
    }
  }
  return {answer, error};
}

/**
 * Return how fresh a panel with an answer is.
 * @param {{answer: {value: any}, error: {value: Error | null}}} asked
 * @returns {import("./panel.js").Fresh}
 */
export const freshOf = ({answer, error}) => ({
  askedAt: answer.value?.fresh?.asked_at, leftOut: answer.value?.left_out, stale: Boolean(error.value), why: error.value?.message,
});

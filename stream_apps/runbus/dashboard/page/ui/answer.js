/**
 * Asks history something, and again from time to time, for a component.
 */
import {useEffect, useSignal} from "../lib/preact.js";
import {get} from "../lib/api.js";
import {current} from "../lib/live.js";

/** A question that failed is asked again so soon. */
const AGAIN_MS = 3000;

/**
 * @param {string} path
 * @param {import("../lib/route.js").Changes} params other ones ask at once
 * @param {number} [everyMs] while the page is seen, and live if it is one that follows
 */
export function useAnswer(path, params, everyMs = 10_000) {
  const answer = useSignal(/** @type {any} */ (null)), error = useSignal(/** @type {Error | null} */ (null));
  const asked = JSON.stringify([path, params]), turn = useSignal(0);
  useEffect(() => {
    const abort = new AbortController();
    void ask(abort);
    return () => abort.abort();
  }, [asked, turn.value]);
  useEffect(() => {
    const timer = setInterval(() => {
      const follows = current.peek();
      if (!document.hidden && (!answer.peek() || !follows || follows.state.peek() === "live")) turn.value += 1;
    }, error.value ? AGAIN_MS : everyMs);
    return () => clearInterval(timer);
  }, [everyMs, Boolean(error.value)]);

  /** @param {AbortController} abort */
  async function ask(abort) {
    try {
      answer.value = await get(path, params, abort.signal);
      error.value = null;
    } catch (wrong) {
      if (!abort.signal.aborted) error.value = /** @type {Error} */ (wrong);
    }
  }
  return {answer, error, again: () => void (turn.value += 1)};
}

/**
 * Return the rows of an answer; none before there is one.
 * @param {any} answer
 * @returns {import("../lib/channels.js").Row[]}
 */
export function rowsOf(answer) {
  return Array.from({length: answer?.rows ?? 0}, (_, i) => Object.fromEntries(Object.entries(/** @type {Record<string, any[]>} */ (answer.columns)).map(([name, values]) => [name, values[i]])));
}

/**
 * Return how fresh a panel with an answer is.
 * @param {{answer: {value: any}, error: {value: Error | null}}} asked
 * @returns {import("./panel.js").Fresh}
 */
export const freshOf = ({answer, error}) => ({
  askedAt: answer.value?.fresh?.asked_at, leftOut: answer.value?.left_out, stale: Boolean(error.value), why: error.value?.message,
});

/**
 * Finds where the keys n, N, e and a jump to, among the steps that are here; beyond them the server is asked. Pure.
 */
import {sameValue} from "./diff.js";

/** @typedef {import("./episode.js").StepCache} StepCache */
/** @typedef {"reward" | "error" | "action"} Wanted */

/** Statuses that are said in red. @param {string} status */
export const isError = (status) => status === "error" || status === "timeout";

/**
 * @param {StepCache} cache
 * @param {number} step
 * @param {Wanted} wanted
 */
function fits(cache, step, wanted) {
  const here = cache.get(step);
  if (!here) return false;
  if (wanted === "reward") return step > 0 && here.reward !== 0;
  if (wanted === "error") return isError(here.status);
  const before = cache.get(step - 1);
  return step > 1 && before !== undefined && !sameValue(before.action, here.action);
}

/**
 * @param {StepCache} cache
 * @param {number} from the search begins beside it
 * @param {1 | -1} by
 * @param {Wanted} wanted
 * @param {import("./playback.js").Extent} extent
 * @returns {{step: number} | {ask: number} | null} `ask`: the server, for what lies beyond this step; null = there is none
 */
export function find(cache, from, by, wanted, {first, last}) {
  for (let step = from + by; step >= first && step <= last; step += by) {
    if (cache.stateOf(step) === "loading") return {ask: step - by};
    if (fits(cache, step, wanted)) return {step};
  }
  return null;
}

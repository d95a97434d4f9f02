// Steps for tests: what is not said is as in a step of an environment with two numbers to see.

/** @typedef {import("../../stream_apps/runbus/dashboard/page/lib/episode.js").Step} Step */

/**
 * @param {number} number
 * @param {Partial<Step>} [rest]
 * @returns {Step}
 */
export const step = (number, rest = {}) => ({
  seq: number,
  step: number,
  tick: -1,
  ts: 1_000_000 * number,
  reward: 1,
  terminated: false,
  truncated: false,
  kind: "",
  status: "",
  parent: -1,
  extras: {},
  info: "",
  stop: "",
  ...rest,
  action: {dtype: "<i8", shape: [], numbers: [number % 2], ...rest.action},
  observation: {dtype: "<f4", shape: [2], numbers: [number, 0.5], ...rest.observation},
});

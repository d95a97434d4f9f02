/**
 * Reads which episode an address means. Pure.
 */

/** @typedef {import("./source.js").EpisodeId} EpisodeId */

/**
 * @param {URLSearchParams} params
 * @returns {EpisodeId | null} null = it names none
 */
export function idOf(params) {
  const number = (/** @type {string} */ name, /** @type {string} */ otherwise) =>
    Number.parseInt(params.get(name) ?? otherwise, 10);
  const id = {
    run: params.get("run") ?? "",
    agent: params.get("agent") ?? "",
    attempt: number("attempt", ""),
    env: number("env", "0"),
    episode: number("episode", ""),
  };
  return id.run && id.agent && [id.attempt, id.env, id.episode].every((x) => x >= 0) ? id : null;
}

/**
 * The episode to put beside it: `agent/attempt/env/episode`, with a run in front if it is of another one.
 * @param {string | null} text
 * @param {string} run
 */
export function besideOf(text, run) {
  const parts = (text ?? "").split("/");
  if (parts.length === 4) parts.unshift(run);
  if (parts.length !== 5) return null;
  const [of, agent, attempt, env, episode] = parts;
  return idOf(new URLSearchParams({run: of, agent, attempt, env, episode}));
}

/**
 * Asks the server: `/api/v1`. Ids travel in the query string, so any text is an id.
 */
import {changed} from "./route.js";

/** An answer that is none: what went wrong, and what to do. */
export class ApiError extends Error {
  /**
   * @param {number} status 0: the server did not answer
   * @param {{error?: string, todo?: string, near?: string[]}} said
   */
  constructor(status, said) {
    super(said.error ?? `the server answered ${status}`);
    this.name = "ApiError";
    this.status = status;
    this.todo = said.todo ?? "";
    this.near = said.near ?? [];
  }
}

/**
 * Return the address of a question.
 * @param {string} path behind /api/v1
 * @param {import("./route.js").Changes} [params]
 */
export function address(path, params = {}) {
  const text = changed(new URLSearchParams(), params).toString();
  return `/api/v1${path}${text ? `?${text}` : ""}`;
}

/**
 * Return the JSON of an answer.
 * @param {string} path behind /api/v1
 * @param {import("./route.js").Changes} [params]
 * @param {AbortSignal} [abort] takes the question back: the server stops its query
 * @returns {Promise<any>}
 */
export async function get(path, params = {}, abort) {
  return (await ask(path, params, abort)).json();
}

/**
 * Return the bytes of an answer, for example of `as=columns`.
 * @param {string} path
 * @param {import("./route.js").Changes} params
 * @param {AbortSignal} [abort]
 */
export async function bytes(path, params, abort) {
  return (await ask(path, params, abort)).arrayBuffer();
}

/**
 * Change something: `POST` with a body, `DELETE` by the parameters.
 * @param {string} path
 * @param {{body?: object, params?: import("./route.js").Changes}} what
 * @returns {Promise<any>}
 */
export async function change(path, {body, params = {}}) {
  const headers = {"content-type": "application/json"};
  return (await ask(path, params, undefined, body ? {method: "POST", headers, body: JSON.stringify(body)} : {method: "DELETE"})).json();
}

/**
 * @param {string} path
 * @param {import("./route.js").Changes} params
 * @param {AbortSignal} [abort]
 * @param {RequestInit} [how]
 */
async function ask(path, params, abort, how) {
  let answer;
  try {
    answer = await fetch(address(path, params), {...how, signal: abort});
  } catch (error) {
    if (abort?.aborted) throw error;
    throw new ApiError(0, {error: "The dashboard does not answer.", todo: "Start it again: runbus dashboard"});
  }
  if (answer.ok) return answer;
  if (answer.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  throw new ApiError(answer.status, await answer.json().catch(() => ({})));
}

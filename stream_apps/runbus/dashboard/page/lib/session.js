/**
 * What this browser may do here, once the server said it.
 */
import {signal} from "./preact.js";
import {get} from "./api.js";

/** `token`: it is logged in; `annotates`: notes, tags and pins can be put and removed. */
export const session = signal({token: false, annotates: false});

/** Ask the server; without an answer nothing is allowed. Called once. */
export function learnSession() {
  get("/session").then((found) => (session.value = found), () => {});
}

/**
 * Draws what stands in place of data: nothing yet, nothing found, something wrong. Each says what to do.
 */
import {html} from "../lib/preact.js";
import {ApiError} from "../lib/api.js";

/**
 * Something is wrong, or not there.
 * @param {{title: string, text?: string, todo?: string, children?: any}} props
 */
export function Problem({title, text, todo, children}) {
  return html`<section class="problem" role="alert"><h2>${title}</h2>
    ${text && html`<p>${text}</p>`}${todo && html`<p class="todo">${todo}</p>`}${children}</section>`;
}

/**
 * An answer of the server that is none, with the names that come near what was asked for.
 * @param {{error: unknown, link?: (name: string) => string}} props
 */
export function Failed({error, link}) {
  const found = error instanceof ApiError ? error : new ApiError(0, {error: String(error)});
  return html`<${Problem} title=${found.message} todo=${found.todo}>
    ${link && found.near.length > 0 && html`<p>Near it: ${found.near.map((name) => html` <a href=${link(name)}>${name}</a>`)}</p>`}
  </${Problem}>`;
}

/**
 * Nothing is here yet, and that is in order.
 * @param {{title: string, children?: any}} props
 */
export function Empty({title, children}) {
  return html`<section class="empty"><h2>${title}</h2>${children}</section>`;
}

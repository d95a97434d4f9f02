/**
 * Draws the menu of saved views of a list.
 */
import {html, useSignal} from "../lib/preact.js";
import {route} from "../lib/route.js";
import {keep, views} from "../lib/views.js";

export function Views() {
  const name = useSignal("");
  const known = Object.entries(views.value);
  const save = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    if (!name.value.trim()) return;
    keep(name.value.trim(), route.value.params.toString());
    name.value = "";
  };
  return html`<details class="take views"><summary>Views${known.length ? ` (${known.length})` : ""}</summary><div class="menu">
    ${known.map(([title, search]) => html`<p><a href=${`/?${search}`}>${title}</a>
      <button type="button" class="quiet" aria-label=${`Forget the view ${title}`} onClick=${() => keep(title, null)}>×</button></p>`)}
    <form onSubmit=${save}><input aria-label="Name of this view" placeholder="Name of this view" value=${name} onInput=${(/** @type {any} */ event) => (name.value = event.currentTarget.value)} />
      <button>Save</button></form>
    <small class="muted">Views are kept in this browser only. A link shows the same to others.</small></div></details>`;
}

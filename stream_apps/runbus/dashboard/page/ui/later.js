/**
 * Draws a part of a page whose module is loaded when it is first looked at.
 */
import {html, useEffect, useSignal} from "../lib/preact.js";
import {Problem} from "./states.js";

/**
 * @param {{load: () => Promise<any>, [prop: string]: any}} props `load` brings the component, which gets the other props;
 *   give another `key` with another `load`
 */
export function Later({load, ...props}) {
  const drawn = useSignal(/** @type {{draw: any} | null} */ (null));
  useEffect(() => {
    load().then(
      (draw) => (drawn.value = {draw}),
      () => (drawn.value = {draw: Unloaded}),
    );
  }, []);
  return drawn.value ? html`<${drawn.value.draw} ...${props} />` : html`<p class="note">Loading …</p>`;
}

function Unloaded() {
  return html`<${Problem} title="This part could not be loaded" text="The dashboard did not answer.">
    <button type="button" onClick=${() => location.reload()}>Load it again</button></${Problem}>`;
}

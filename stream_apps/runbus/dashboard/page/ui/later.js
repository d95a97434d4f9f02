/**
 * Draws a part of a page whose module is loaded once the page stands: what is seen first comes first.
 */
import {html, useEffect, useSignal} from "../lib/preact.js";

/**
 * @param {{load: () => Promise<Record<string, any>>, part: string, props: Record<string, any>}} props
 * `part`: name of the component in the module
 */
export function Later({load, part, props}) {
  const found = useSignal(/** @type {any} */ (null)), failed = useSignal(false);
  useEffect(() => {
    load().then((module) => (found.value = module[part]), () => (failed.value = true));
  }, []);
  if (failed.value) return html`<p class="warn">A part of the page could not be loaded. Load the page again.</p>`;
  return found.value ? html`<${found.value} ...${props} />` : null;
}

/**
 * Draws the list of keys, in front of the page; loaded when it is first asked for.
 */
import {html, useEffect, useRef} from "../lib/preact.js";
import {KEYS} from "../lib/keys.js";

/** @param {{open: import("../vendor/signals-core.js").Signal<boolean>}} props */
export function Help({open}) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    if (open.value && !dialog.current?.open) dialog.current?.showModal();
    if (!open.value && dialog.current?.open) dialog.current.close();
  }, [open.value]);
  const places = [...new Set(KEYS.map((key) => key.where))];
  return html`
    <dialog ref=${dialog} class="help" aria-labelledby="keys" onClose=${() => (open.value = false)}>
      <h2 id="keys">Keys</h2>
      <div class="columns">
        ${places.map((place) => html`<section><h3>${place}</h3><dl>
          ${KEYS.filter((key) => key.where === place).map((key) => html`<div><dt><kbd>${key.key === " " ? "Space" : key.key}</kbd></dt><dd>${key.does}</dd></div>`)}
        </dl></section>`)}
      </div>
      <form method="dialog"><button>Close</button></form>
    </dialog>`;
}

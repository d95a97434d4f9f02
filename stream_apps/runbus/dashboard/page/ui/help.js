/**
 * Draws the list of keys, in front of the page; loaded when it is first asked for.
 */
import {html, useEffect, useRef} from "../lib/preact.js";
import {KEYS} from "../lib/keys.js";

/**
 * What keys do, by where: name of the key in lib/keys.js -> words.
 * @type {Record<string, Record<string, string>>}
 */
export const WORDS = {
  everywhere: {
    help: "show these keys",
    find: "go to a run by its name",
    "go-runs": "open Runs",
    "go-compare": "open Compare",
    "go-health": "open Health",
    link: "copy the link to this view",
    theme: "dark, light, as the system",
    close: "close, or leave the field",
  },
  lists: {
    filter: "go to the filter",
    down: "next row",
    up: "row before",
    open: "open the row",
    select: "select the row",
  },
  Runs: {
    compare: "compare what is selected",
    pin: "pin the row, or unpin it",
    baseline: "compare all with the row",
  },
  "Run, Episode": {
    follow: "follow what happens now",
  },
  Episode: {
    play: "play, pause",
    step: "next step",
    back: "step before",
    "step-10": "ten steps on",
    "back-10": "ten steps back",
    "next-episode": "next episode",
    "last-episode": "episode before",
    first: "first step",
    end: "last step",
    faster: "twice as fast",
    slower: "half as fast",
    "next-reward": "next reward",
    "last-reward": "reward before",
    largest: "largest reward",
    "next-error": "next error",
    "next-action": "next change of the action",
    raw: "raw values, and back",
  },
  charts: {
    table: "the chart as a table, and back",
    sql: "the SQL of the panel",
    "undo-zoom": "undo the zoom",
  },
};

/** @param {{open: import("../vendor/signals-core.js").Signal<boolean>}} props */
export function Help({open}) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    if (open.value && !dialog.current?.open) dialog.current?.showModal();
    if (!open.value && dialog.current?.open) dialog.current.close();
  }, [open.value]);
  const keyOf = new Map([...KEYS].map(([key, name]) => [name, key === " " ? "Space" : key]));
  return html`
    <dialog ref=${dialog} class="help" aria-labelledby="keys" onClose=${() => (open.value = false)}>
      <h2 id="keys">Keys</h2>
      <div class="columns">
        ${Object.entries(WORDS).map(([place, words]) => html`<section><h3>${place}</h3><dl>
          ${Object.entries(words).map(([name, does]) => html`<div><dt><kbd>${keyOf.get(name)}</kbd></dt><dd>${does}</dd></div>`)}
        </dl></section>`)}
      </div>
      <form method="dialog"><button>Close</button></form>
    </dialog>`;
}

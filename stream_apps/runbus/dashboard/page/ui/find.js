/**
 * Goes to a run by a part of its name.
 */
import {html, useEffect, useRef, useSignal} from "../lib/preact.js";
import {get} from "../lib/api.js";
import {go} from "../lib/route.js";

const SOON_MS = 120;
const MOST = 12;

/** @param {{open: import("../vendor/signals-core.js").Signal<boolean>}} props */
export function Find({open}) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const wanted = useSignal(""), names = useSignal(/** @type {string[]} */ ([])), at = useSignal(0), failed = useSignal("");
  useEffect(() => {
    if (open.value && !dialog.current?.open) dialog.current?.showModal();
    if (!open.value && dialog.current?.open) dialog.current.close();
  }, [open.value]);
  useEffect(() => {
    if (!open.value) return undefined;
    const abort = new AbortController();
    const look = async () => {
      try {
        names.value = await search(wanted.value, abort.signal);
        at.value = 0;
        failed.value = "";
      } catch (error) {
        if (!abort.signal.aborted) failed.value = /** @type {Error} */ (error).message;
      }
    };
    const timer = setTimeout(look, SOON_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [open.value, wanted.value]);
  const choose = (/** @type {string | undefined} */ run) => {
    if (run === undefined) return;
    open.value = false;
    go("/run", {run});
  };
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (by) {
      event.preventDefault();
      at.value = Math.max(0, Math.min(names.value.length - 1, at.value + by));
    }
    if (event.key === "Enter") {
      event.preventDefault();
      choose(names.value[at.value]);
    }
  };
  return html`
    <dialog ref=${dialog} class="find" aria-label="Go to a run" onClose=${() => (open.value = false)}>
      <input type="search" role="combobox" aria-expanded="true" aria-controls="found" aria-label="Part of the name of a run" placeholder="Go to a run …"
        aria-activedescendant=${names.value.length ? `found-${at.value}` : null} value=${wanted.value} onKeyDown=${onKey}
        onInput=${(/** @type {any} */ event) => (wanted.value = event.currentTarget.value)} />
      <ul id="found" role="listbox" aria-label="Runs">${names.value.map((name, i) => html`<li key=${name} id=${`found-${i}`} role="option" aria-selected=${i === at.value}
        onClick=${() => choose(name)}>${name}</li>`)}</ul>
      ${failed.value ? html`<p class="warn">${failed.value}</p>` : names.value.length ? null : html`<p class="muted">No run has this in its name.</p>`}
    </dialog>`;
}

/**
 * Return names of runs, the newest first.
 * @param {string} text
 * @param {AbortSignal} abort
 * @returns {Promise<string[]>}
 */
async function search(text, abort) {
  const quoted = text.trim() && `"${text.trim().replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
  return (await get("/runs", {q: quoted, most: MOST}, abort)).columns.run;
}

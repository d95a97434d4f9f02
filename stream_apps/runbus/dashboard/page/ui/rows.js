/**
 * Shows rows of one height out of any number, by index: a native range is the scroll thumb. There is no tall spacer,
 * which browsers cut at some 67,000 rows, and at most as many rows in the page as are seen.
 */
import {html, useLayoutEffect, useRef, useSignal} from "../lib/preact.js";

const MOST = 80;

/**
 * @param {{count: number, height: number, top: import("../vendor/signals-core.js").Signal<number>, row: (index: number) => any, label: string,
 *   role?: string, seen?: (from: number, to: number) => void}} props `seen`: hears which rows are shown
 */
export function Rows({count, height, top, row, label, role = "list", seen}) {
  const root = useRef(/** @type {HTMLElement | null} */ (null));
  const room = useSignal(20);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(
      ([entry]) => (room.value = Math.max(1, Math.min(MOST, Math.floor(entry.contentRect.height / height)))),
    );
    if (root.current) watch.observe(root.current);
    return () => watch.disconnect();
  }, []);
  const most = Math.max(0, count - room.value);
  const from = Math.max(0, Math.min(most, top.value));
  const to = Math.min(count, from + room.value);
  useLayoutEffect(() => seen?.(from, to - 1), [from, to]);
  const wheel = (/** @type {WheelEvent} */ event) => {
    const next = Math.max(
      0,
      Math.min(most, from + Math.sign(event.deltaY) * Math.max(1, Math.round(Math.abs(event.deltaY) / height))),
    );
    if (next === from) return;
    event.preventDefault();
    top.value = next;
  };
  return html`<div class="list-rows" onWheel=${wheel}>
    <div class="list-body" ref=${root} role=${role} aria-label=${label}
      aria-rowcount=${role === "treegrid" ? count : null}>${Array.from({length: to - from}, (_, i) => row(from + i))}</div>
    ${most > 0 && html`<${Thumb} most=${most} top=${top} label=${label} />`}
  </div>`;
}

/** A range that stands upright, for the place in a long list. @param {{most: number, top: import("../vendor/signals-core.js").Signal<number>, label: string}} props */
export function Thumb({most, top, label}) {
  return html`<input type="range" class="list-thumb" min="0" max=${most} step="1" value=${Math.min(most, top.value)}
    aria-label=${`Place in ${label}`}
    onInput=${(/** @type {any} */ event) => (top.value = +event.currentTarget.value)} />`;
}

/**
 * Frames one panel: its title, how fresh it is, and ways to take its data along.
 */
import {html, useEffect, useRef, useSignal} from "../lib/preact.js";
import {ago, count, duration} from "../lib/format.js";
import {useKeys} from "../lib/keys.js";
import {now} from "../lib/live.js";
import {Later} from "./later.js";

/**
 * What a panel's numbers are made of.
 * @typedef {object} Source
 * @property {string} path of the API, behind /api/v1
 * @property {import("../lib/route.js").Changes} params
 */

/**
 * How fresh a panel is.
 * @typedef {object} Fresh
 * @property {number} [askedAt] when its history was asked for, microseconds since the epoch
 * @property {number} [newest] time of the newest step in it, microseconds since the epoch
 * @property {boolean} [stale] it can be older than it says: grey
 * @property {string} [why] why it is stale
 * @property {number} [leftOut] how many rows were left out
 */

/**
 * @param {{title: string, unit?: string, fresh?: Fresh, source?: Source, tools?: any, class?: string,
 *   png?: () => HTMLCanvasElement | null, children?: any}} props
 */
export function Panel({title, unit, fresh, source, tools, png, children, ...rest}) {
  const root = useRef(null);
  return html`
    <section ref=${root} class=${`panel ${rest.class ?? ""} ${fresh?.stale ? "stale" : ""}`} aria-label=${title}>
      <header>
        <h2>${title}${unit && html` <span class="unit">${unit}</span>`}</h2>
        <span class="grow"></span>
        ${tools}
        ${fresh && html`<${Freshness} ...${fresh} />`}
        ${source && html`<${Take} source=${source} title=${title} png=${png} />`}
      </header>
      <div class="body">${children}</div>
    </section>`;
}

/** How old the newest number is, what is left out, why it is stale. @param {Fresh} props */
export function Freshness({askedAt, newest, stale, why, leftOut}) {
  const age = newest ? now.value - newest / 1000 : null;
  const title = [
    newest ? `newest step ${duration(age)} old` : "",
    askedAt ? `history asked for ${ago(now.value - askedAt / 1000)}` : "",
    why ?? "",
  ].filter(Boolean).join(" · ");
  return html`<span class="fresh" title=${title}>
    ${leftOut ? html`<span class="left-out">${count(leftOut)} left out</span>` : null}
    ${stale ? html`<span class="stale-word">${why ?? "stale"}</span>` : age !== null && html`<span>${ago(age)}</span>`}
  </span>`;
}

const taking = () => import("./take.js");
const menu = async () => (await taking()).Menu;
const text = async () => (await taking()).Sql;

/** What shows the SQL of a panel, by its menu. @type {WeakMap<Element, () => void>} */
const shows = new WeakMap();

/** Show the SQL of the panel under the pointer or with the focus, else of the first. */
function showSqlHere() {
  const all = [...document.querySelectorAll("details.take")].filter((one) => shows.has(one));
  shows.get(all.find((one) => one.closest("section")?.matches(":hover, :focus-within")) ?? all[0])?.();
}

/** Ways to take the data of a panel along. @param {{source: Source, title: string, png?: () => HTMLCanvasElement | null}} props */
export function Take({source, title, png}) {
  const root = useRef(/** @type {HTMLDetailsElement | null} */ (null));
  const open = useSignal(false), sql = useSignal("");
  const showSql = async () => (sql.value = sql.value ? "" : await (await taking()).sqlOf(source));
  useKeys({sql: showSqlHere});
  useEffect(() => void shows.set(/** @type {HTMLDetailsElement} */ (root.current), showSql));
  return html`
    <details ref=${root} class="take" open=${open.value} onToggle=${(/** @type {any} */ event) => (open.value = event.currentTarget.open)}>
      <summary title="Take this along: SQL, curl, CSV, Arrow, picture" aria-label=${`Take ${title} along`}>⋯</summary>
      ${open.value && html`<${Later} load=${menu} source=${source} title=${title} png=${png} showSql=${showSql} />`}
    </details>
    ${sql.value && html`<${Later} load=${text} sql=${sql} />`}`;
}

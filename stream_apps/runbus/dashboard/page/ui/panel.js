/**
 * Frames one panel: its title, how fresh it is, and ways to take its data along.
 */
import {html, useRef, useSignal} from "../lib/preact.js";
import {address, bytes} from "../lib/api.js";
import {ago, count, duration} from "../lib/format.js";
import {now} from "../lib/live.js";
import {say} from "./shell.js";

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

/** Ways to take the data of a panel along. @param {{source: Source, title: string, png?: () => HTMLCanvasElement | null}} props */
export function Take({source, title, png}) {
  const open = useSignal(false);
  const sql = useSignal("");
  const link = (/** @type {string} */ as) => address(source.path, {...source.params, as});
  const showSql = async () => {
    const text = await bytes(source.path, {...source.params, as: "sql"}).catch(() => null);
    sql.value = text ? new TextDecoder().decode(text) : "The server did not answer.";
  };
  return html`
    <details class="take" open=${open.value} onToggle=${(/** @type {any} */ event) => (open.value = event.currentTarget.open)}>
      <summary title="Take this along: SQL, curl, CSV, Arrow, picture" aria-label=${`Take ${title} along`}>⋯</summary>
      <div class="menu">
        <button type="button" onClick=${showSql}>SQL</button>
        <button type="button" onClick=${() => copy(`curl -s '${location.origin}${link("json").replaceAll("'", "%27")}'`, "curl")}>Copy as curl</button>
        <a href=${link("csv")} download=${`${title}.csv`}>CSV</a>
        <a href=${link("arrow")} download=${`${title}.arrow`}>Arrow</a>
        ${png && html`<button type="button" onClick=${() => save(png(), `${title}.png`)}>PNG</button>`}
      </div>
    </details>
    ${sql.value && html`<div class="sql"><pre>${sql.value}</pre>
      <button type="button" onClick=${() => copy(sql.value, "SQL")}>Copy</button>
      <button type="button" onClick=${() => (sql.value = "")}>Close</button></div>`}`;
}

/**
 * @param {string} text
 * @param {string} what
 */
async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} is in the clipboard`);
  } catch {
    say("The browser gives no access to the clipboard");
  }
}

/**
 * @param {HTMLCanvasElement | null} canvas
 * @param {string} name
 */
function save(canvas, name) {
  canvas?.toBlob((blob) => {
    if (!blob) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

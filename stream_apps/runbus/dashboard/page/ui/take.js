/**
 * Takes the data of a panel along: as SQL, a command, a file or a picture. Loaded when its menu is first opened.
 */
import {html} from "../lib/preact.js";
import {address, bytes} from "../lib/api.js";
import {say} from "./shell.js";

/** @typedef {import("./panel.js").Source} Source */

/** Return the statement behind a panel. @param {Source} source */
export async function sqlOf({path, params}) {
  const text = await bytes(path, {...params, as: "sql"}).catch(() => null);
  return text ? new TextDecoder().decode(text) : "The server did not answer.";
}

/** @param {{source: Source, title: string, png?: () => HTMLCanvasElement | null, showSql: () => void}} props */
export function Menu({source, title, png, showSql}) {
  const link = (/** @type {string} */ as) => address(source.path, {...source.params, as});
  return html`<div class="menu">
    <button type="button" onClick=${showSql}>SQL</button>
    <button type="button" onClick=${() => copy(`curl -s '${location.origin}${link("json").replaceAll("'", "%27")}'`, "curl")}>Copy as curl</button>
    <a href=${link("csv")} download=${`${title}.csv`}>CSV</a>
    <a href=${link("arrow")} download=${`${title}.arrow`}>Arrow</a>
    ${png && html`<button type="button" onClick=${() => save(png(), `${title}.png`)}>PNG</button>`}
  </div>`;
}

/** @param {{sql: import("../vendor/signals-core.js").Signal<string>}} props */
export function Sql({sql}) {
  return html`<div class="sql"><pre>${sql.value}</pre>
    <button type="button" onClick=${() => copy(sql.value, "SQL")}>Copy</button>
    <button type="button" onClick=${() => (sql.value = "")}>Close</button></div>`;
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

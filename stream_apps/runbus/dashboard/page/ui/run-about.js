/**
 * Shows with what a run was recorded: its configuration, its spaces, its host.
 */
import {html} from "../lib/preact.js";

/** @typedef {import("../lib/channels.js").Row} Row */

/** Configuration and spaces of the newest stream; the others' where they differ. @param {{rows: Row[]}} props */
export function About({rows}) {
  const newest = rows[rows.length - 1];
  const parts = [["Configuration", pretty(newest.config)], ["Observation space", newest.observation_space], ["Action space", newest.action_space], ["Summary", pretty(newest.summary)]];
  const others = rows.filter((row) => row.config !== newest.config).length;
  return html`<details class="fold"><summary>Configuration, spaces, host${others ? `: of ${newest.agent}; ${others} streams have another configuration` : ""}</summary><div>
    ${parts.filter(([, text]) => text && text !== "{}").map(([name, text]) => html`<section><h3>${name}</h3><pre>${text}</pre></section>`)}
    <section><h3>Recorded by</h3><pre>${`${newest.host || "unknown host"}, process ${newest.pid}, RunBus ${newest.version}`}</pre></section>
  </div></details>`;
}

/** @param {string} text */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 1);
  } catch {
    return text;
  }
}

/**
 * Shows how an episode was judged, as it ran and long after.
 */
import {html, useEffect} from "../lib/preact.js";
import {number} from "../lib/format.js";
import {expose} from "../lib/inspect.js";
import {set} from "../lib/route.js";
import {useAnswer} from "./answer.js";

const EVERY_MS = 15_000;

/** @param {{id: import("../lib/source.js").EpisodeId}} props */
export function EpisodeScores({id}) {
  const {answer} = useAnswer("/episode/scores", {...id}, EVERY_MS), found = answer.value, c = found?.columns;
  useEffect(() => expose("judged", () => c ?? {}));
  if (!found?.rows) return null;
  return html`<ul class="judged" aria-label="Scores">${Array.from({length: found.rows}, (_, i) => html`<li key=${i}>
    <b>${c.name[i]}</b> ${number(c.value[i])} ${c.label[i]} <span class="muted">${c.judge[i]}</span>
    ${c.step[i] >= 0 && html` <button type="button" class="quiet" onClick=${() => set({step: c.step[i]})}>step ${c.step[i]}</button>`}
    ${c.text[i] && html` <q>${c.text[i]}</q>`}</li>`)}</ul>`;
}

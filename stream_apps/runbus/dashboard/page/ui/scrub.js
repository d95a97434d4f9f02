/**
 * Draws the scrubber: play, speed, loop, follow, jumps, and the whole episode as one line to take the cursor along.
 */
import {html} from "../lib/preact.js";
import {exact, number} from "../lib/format.js";
import {isNumber, rangeOf} from "../lib/spread.js";
import {ink} from "./ink.js";
import {Canvas, drawHoles, xOf} from "./paint.js";

/** @typedef {import("./player.js").Player} Player */
/**
 * The whole episode in bins of steps.
 * @typedef {{from: number[], to: number[], min: (number | null)[], max: (number | null)[], holes: {from: number, to: number, state: string}[]}} Overview
 */

/**
 * @param {{player: Player, unit?: string, overview?: Overview | null, window?: {from: number, to: number} | null, running?: boolean,
 *   said?: () => string, jumps?: {name: string, key: string, go: () => void}[], before?: () => void, after?: () => void}} props
 *   `unit`: what the cursor counts, step or tick; `said`: says, of what is under the cursor, for screen readers
 */
export function Scrub({player, unit = "step", overview, window, running, said, jumps = [], before, after}) {
  const {first, last} = player.extent.value;
  const {speed, loop} = player.state.value;
  return html`<section class="scrub" aria-label="Scrubber">
    <div class="transport">
      <button type="button" aria-label="Episode before" title="Episode before (Alt+←)" disabled=${!before}
        onClick=${before}>|◂</button>
      <button type="button" aria-label=${`Back one ${unit}`} title=${`Back one ${unit} (←)`}
        onClick=${() => player.move(-1)}>◂</button>
      <button type="button" class="play" title="Play or pause (Space)" aria-label=${player.playing.value ? "Pause" : "Play"}
        onClick=${() => player.toggle()}>${player.playing.value ? "❚❚" : "▶"}</button>
      <button type="button" aria-label=${`On one ${unit}`} title=${`On one ${unit} (→)`} onClick=${() => player.move(1)}>▸</button>
      <button type="button" aria-label="Next episode" title="Next episode (Alt+→)" disabled=${!after} onClick=${after}>▸|</button>
      <span class="speed"><button type="button" title="Slower (-)" aria-label="Slower" onClick=${() => player.faster(-1)}>−</button>
        <span title=${`${unit}s a second`}>${exact(speed)} ${unit}s/s</span>
        <button type="button" title="Faster (+)" aria-label="Faster" onClick=${() => player.faster(1)}>+</button></span>
      <button type="button" aria-pressed=${loop} title="Begin again behind the last ${unit}"
        onClick=${() => player.loop()}>Loop</button>
      ${running && html`<button type="button" aria-pressed=${player.follows.value} title="Stay at the newest ${unit} (.)"
        onClick=${() => player.follow()}>Follow</button>`}
      <${Place} player=${player} unit=${unit} />
      <span class="grow"></span>
      <span class="jumps">${jumps.map(({name, key, go}) => html`<button type="button" key=${name} title=${`${name} (${key})`}
        onClick=${go}>${name} <kbd>${key}</kbd></button>`)}</span>
    </div>
    <div class="scrub-track">
      ${overview && says(overview) && html`<${Overall} overview=${overview} extent=${player.extent.value} window=${window} />`}
      <${Thumb} player=${player} first=${first} last=${last} unit=${unit} said=${said} />
    </div>
  </section>`;
}

/** @param {{player: Player, first: number, last: number, unit: string, said?: () => string}} props */
function Thumb({player, first, last, unit, said}) {
  const drag = (/** @type {boolean} */ on) => () => (player.dragging.value = on);
  return html`<input type="range" class="scrub-thumb" aria-label=${`Cursor, in ${unit}s`} min=${first} max=${last} step="1"
    value=${player.cursor.value}
    aria-valuetext=${`${unit} ${player.cursor.value} of ${last}${said ? `, ${said()}` : ""}`}
    onInput=${(/** @type {any} */ event) => player.seek(+event.currentTarget.value)}
    onPointerDown=${drag(true)} onPointerUp=${drag(false)} onPointerCancel=${drag(false)} />`;
}

/** @param {{player: Player, unit: string}} props */
function Place({player, unit}) {
  return html`<span class="scrub-place"><label>${unit} <input type="number" class="place-step" min=${player.extent.value.first}
    max=${player.extent.value.last} value=${player.cursor.value}
    onChange=${(/** @type {any} */ event) => player.seek(+event.currentTarget.value)} />
      </label> of ${exact(player.extent.value.last)}</span>`;
}

/** Whether there is anything to see in it. @param {Overview} overview */
const says = ({min, max, holes}) => holes.length > 0 || [...min, ...max].some((reward) => reward !== 0);

/** The rewards of the whole episode, what is lost, and which part the lanes below show. @param {{overview: Overview, extent: import("../lib/playback.js").Extent, window?: {from: number, to: number} | null}} props */
function Overall({overview, extent, window}) {
  const whole = {from: extent.first, to: extent.last};
  const draw = (
    /** @type {CanvasRenderingContext2D} */ pen,
    /** @type {number} */ width,
    /** @type {number} */ height,
  ) => {
    const {low, high} = rangeOf([...overview.min, ...overview.max], true);
    const y = (/** @type {number} */ value) => height - 2 - ((value - low) / (high - low)) * (height - 4);
    pen.fillStyle = ink("--c0");
    overview.from.forEach((from, i) => {
      const [least, most] = [overview.min[i], overview.max[i]];
      if (!isNumber(least) || !isNumber(most)) return;
      const [left, right] = [xOf(whole, width, from - 0.5), xOf(whole, width, overview.to[i] + 0.5)];
      const [top, bottom] = [Math.min(y(most), y(0)), Math.max(y(least), y(0))];
      // a reward that is small beside the largest is still seen
      pen.fillRect(left, top, Math.max(1, right - left), Math.max(least === 0 && most === 0 ? 1 : 3, bottom - top));
    });
    drawHoles(pen, whole, width, height, overview.holes, ink("--bad"));
    if (!window || window.to - window.from >= whole.to - whole.from) return;
    const [left, right] = [xOf(whole, width, window.from - 0.5), xOf(whole, width, window.to + 0.5)];
    pen.fillStyle = ink("--text");
    pen.globalAlpha = 0.12;
    pen.fillRect(left, 0, Math.max(2, right - left), height);
    pen.globalAlpha = 1;
    pen.fillRect(left, height - 2, Math.max(2, right - left), 2);
  };
  const {low, high} = rangeOf([...overview.min, ...overview.max], true);
  return html`<div class="overall" title=${`Rewards of the whole episode, ${number(low)} to ${number(high)}`}>
    <${Canvas} class="overall-canvas" height=${40} draw=${draw} deps=${[overview, extent, window?.from, window?.to]} /></div>`;
}

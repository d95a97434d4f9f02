/**
 * Draws what is under the cursor: an action or an observation, by what it is to look at.
 */
import {html, useLayoutEffect, useRef} from "../lib/preact.js";
import {number} from "../lib/format.js";
import {layoutText, lookOf, pixels} from "../lib/observation.js";
import {isNumber, spread} from "../lib/spread.js";
import {ink} from "./ink.js";
import {Canvas} from "./paint.js";

/** @typedef {import("../lib/episode.js").Value} Value */

const MOST_BARS = 64;

/**
 * @param {{value: Value, ranges?: {low: number, high: number}[], names?: string[]}} props
 *   `ranges`: of each number in the window, so bars keep their scale while the cursor moves
 */
export function Recorded({value, ranges, names = []}) {
  const {dtype, shape, numbers = [], text = "", parts = []} = value;
  switch (lookOf(value)) {
    case "none":
      return html`<p class="muted">Nothing was recorded here.</p>`;
    case "absent":
      return html`<p class="muted">There is none in this step; others have ${layoutText({dtype: dtype.slice(7), shape})}.</p>`;
    case "omitted":
      return html`<${Grey} title=${`Not recorded: ${layoutText({dtype: dtype.slice(8), shape})}`}
        text="Images and large arrays are left out unless you ask for them." code=${'Recorder(..., observations="all")'} />`;
    case "text":
      return html`<pre tabindex="0" class="value-text">${text}</pre>`;
    case "json":
      return html`<pre tabindex="0" class="value-text">${pretty(text)}</pre>`;
    case "image":
      return html`<${Picture} value=${value} />`;
    case "grid":
      return html`<${Grid} value=${value} />`;
    case "other":
      return parts.map(
        ({name, value: part}) =>
          html`<section class="part" key=${name}><h3>${name} <span class="unit">${layoutText(part)}</span></h3>
            <${Recorded} value=${part} /></section>`,
      );
    case "scalar":
      return html`<p class="scalar">${names[numbers[0] ?? -1] ?? number(numbers[0])} ${names[numbers[0] ?? -1] ? html`<span
        class="unit">${numbers[0]}</span>` : null}</p>`;
    default:
      return html`<${Bars} numbers=${numbers} ranges=${ranges} />`;
  }
}

/** @param {{title: string, text: string, code?: string}} props */
function Grey({title, text, code}) {
  return html`<div class="not-here"><b>${title}</b><p>${text}</p>${code && html`<code>${code}</code>`}</div>`;
}

/** @param {string} text */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** An image, each of its pixels a square. @param {{value: Value}} props */
function Picture({value}) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const found = value.numbers ? pixels(value.numbers, value.dtype, value.shape) : null;
  useLayoutEffect(() => {
    const at = canvas.current;
    if (!at || !found) return;
    [at.width, at.height] = [found.width, found.height];
    at.getContext("2d")?.putImageData(new ImageData(found.data, found.width, found.height), 0, 0);
  }, [found]);
  if (!found) return html`<${Grey} title="No image" text=${`The bytes do not fill ${layoutText(value)}.`} />`;
  return html`<canvas class="picture" ref=${canvas} role="img" aria-label=${`Image of ${found.width} by ${found.height} pixels`}>
    </canvas>`;
}

/** A small board of numbers. @param {{value: Value}} props */
function Grid({value}) {
  const [rows, columns] = value.shape;
  const numbers = value.numbers ?? [];
  const {low, high} = spread(numbers);
  const tall = Math.max(6, Math.min(34, Math.floor(340 / rows)));
  return html`<${Canvas} class="board" height=${tall * rows} deps=${[value]} draw=${(
    /** @type {CanvasRenderingContext2D} */ pen,
    /** @type {number} */ width,
  ) => {
    const wide = Math.min(tall * 1.6, width / columns);
    pen.font = `${Math.min(13, tall * 0.5)}px system-ui`;
    [pen.textAlign, pen.textBaseline] = ["center", "middle"];
    for (let i = 0; i < rows * columns; i++) {
      const x = numbers[i];
      const [left, top] = [(i % columns) * wide, Math.floor(i / columns) * tall];
      pen.globalAlpha = !isNumber(x) ? 0 : 0.08 + 0.92 * ((x - low) / (high - low || 1));
      pen.fillStyle = ink("--c0");
      pen.fillRect(left, top, wide - 1, tall - 1);
      const shade = pen.globalAlpha;
      pen.globalAlpha = 1;
      if (tall < 16 || wide < 16) continue;
      pen.fillStyle = shade > 0.55 ? ink("--surface") : ink("--text");
      pen.fillText(!isNumber(x) ? "–" : number(x), left + wide / 2, top + tall / 2);
    }
  }} />`;
}

/** A vector as bars between the least and the largest number of its window. @param {{numbers: ArrayLike<number | null>, ranges?: {low: number, high: number}[]}} props */
function Bars({numbers, ranges}) {
  const all = spread(numbers);
  const shown = Array.from({length: Math.min(MOST_BARS, numbers.length)}, (_, i) => i);
  return html`<table class="vector"><tbody>
    ${shown.map((i) => {
      const {low, high} = ranges?.[i] ?? all;
      const x = numbers[i];
      const share = !isNumber(x) ? 0 : Math.max(0, Math.min(1, (x - low) / (high - low || 1)));
      return html`<tr key=${i}><th scope="row">${i}</th><td class="num">${number(x)}</td>
        <td class="bar-cell" title=${`${number(low)} to ${number(high)} in this window`}><i style=${{left: `${share * 100}%`}}></i>
          </td></tr>`;
    })}</tbody></table>
    ${numbers.length > MOST_BARS && html`<p class="muted">${numbers.length - MOST_BARS} more numbers: see the raw step (r)</p>`}`;
}

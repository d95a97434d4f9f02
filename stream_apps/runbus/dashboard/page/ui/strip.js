/**
 * Draws the window of an episode as lanes under one cursor: curves, actions, heat strips. A lane is drawn anew when its
 * window or its steps change; a cursor that moves moves one line over all of them, nothing else.
 */
import {html, useLayoutEffect, useRef} from "../lib/preact.js";
import {exact, number} from "../lib/format.js";
import {heat, heatColour} from "../lib/observation.js";
import {isNumber} from "../lib/spread.js";
import {ink} from "./ink.js";
import {Canvas} from "./paint.js";
import {Panel} from "./panel.js";

/** @typedef {import("./paint.js").Window} Window */
/** @typedef {import("./paint.js").Pen} Pen */
/** @typedef {import("./paint.js").Draw} Draw */

/** The step at a pixel. @param {Window} window @param {number} width @param {number} x */
export const stepAt = ({from, to}, width, x) =>
  Math.max(from, Math.min(to, from + Math.floor((x / Math.max(1, width)) * (to - from + 1))));

/**
 * A curve: a number a step; a number that is none is a gap. Sparse numbers (extras) are points joined by a line.
 * @param {Pen} pen
 * @param {number} width
 * @param {number} height
 * @param {{values: (number | null | undefined)[], colour: string, low: number, high: number, join: boolean, steps: boolean}} curve
 *   `join`: over steps without a number; `steps`: as steps from zero (rewards)
 */
export function drawCurve(pen, width, height, {values, colour, low, high, join, steps}) {
  const y = (/** @type {number} */ value) => height - 4 - ((value - low) / (high - low || 1)) * (height - 8);
  const each = width / values.length;
  pen.strokeStyle = pen.fillStyle = colour;
  if (steps) {
    const zero = y(0);
    values.forEach((value, i) => {
      if (!isNumber(value) || value === 0) return;
      pen.fillRect(
        i * each,
        Math.min(zero, y(value)),
        Math.max(1, each - (each > 4 ? 1 : 0)),
        Math.max(1, Math.abs(zero - y(value))),
      );
    });
    pen.globalAlpha = 0.4;
    pen.fillRect(0, Math.round(zero), width, 1);
    pen.globalAlpha = 1;
    return;
  }
  pen.lineWidth = 1.5;
  pen.beginPath();
  let down = false;
  let last = -1;
  values.forEach((value, i) => {
    if (!isNumber(value)) {
      down = down && join;
      return;
    }
    const x = (i + 0.5) * each;
    if (down) pen.lineTo(x, y(value));
    else pen.moveTo(x, y(value));
    if (!down || i - last > 1) {
      pen.rect(x - 1, y(value) - 1, 2, 2);
      pen.moveTo(x, y(value));
    }
    [down, last] = [true, i];
  });
  pen.stroke();
}

/**
 * Actions as lanes: a bar as long as an action holds.
 * @param {Pen} pen
 * @param {number} width
 * @param {number} height
 * @param {{labels: string[], lane: (number | null)[]}} lanes
 * @param {string[]} colours
 */
export function drawLanes(pen, width, height, {labels, lane}, colours) {
  const [each, tall] = [width / lane.length, height / labels.length];
  let from = 0;
  for (let i = 1; i <= lane.length; i++) {
    if (i < lane.length && lane[i] === lane[from]) continue;
    const at = lane[from];
    if (at !== null) {
      pen.fillStyle = colours[at % colours.length];
      pen.fillRect(
        from * each,
        at * tall + 1,
        Math.max(1, (i - from) * each - (each > 3 ? 1 : 0)),
        Math.max(1, tall - 2),
      );
    }
    from = i;
  }
}

/**
 * A heat strip: a row a dimension, a column a step.
 * @param {Pen} pen
 * @param {number} width
 * @param {number} height
 * @param {(ArrayLike<number | null> | null)[]} columns
 */
export function drawHeat(pen, width, height, columns) {
  const {rows, cells} = heat(columns);
  if (!rows) return;
  const image = new ImageData(columns.length, rows);
  for (let i = 0; i < cells.length; i++)
    image.data.set(Number.isNaN(cells[i]) ? [0, 0, 0, 0] : [...heatColour(cells[i]), 255], i * 4);
  const small = new OffscreenCanvas(columns.length, rows);
  small.getContext("2d")?.putImageData(image, 0, 0);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(small, 0, 0, width, height);
}

/** Width of what stands left of the lanes, in pixels. */
const NAMES = 150;

/**
 * The panel around lanes: it says how wide they may be, and hands them on as a picture.
 * @param {{wide: import("../vendor/signals-core.js").Signal<number>, children: any, [prop: string]: any}} props `wide` gets
 *   the width of a lane; the others are Panel's
 */
export function LanesPanel({wide, children, ...props}) {
  const root = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(() => {
    const watch = new ResizeObserver(([entry]) => (wide.value = entry.contentRect.width - NAMES));
    if (root.current) watch.observe(root.current);
    return () => watch.disconnect();
  }, []);
  return html`<${Panel} ...${props} class="lanes-panel" png=${() => picture(root.current)}><div ref=${root}>${children}</div></${Panel}>`;
}

/** All lanes with their names as one picture. @param {HTMLElement | null} root */
function picture(root) {
  const rows = [...(root?.querySelectorAll(".lane-row:has(canvas)") ?? [])];
  const lanes = rows.map((row) => /** @type {HTMLCanvasElement} */ (row.querySelector("canvas")));
  const found = document.createElement("canvas");
  const pen = found.getContext("2d");
  if (!lanes.length || !pen) return null;
  const ratio = devicePixelRatio || 1;
  found.width = Math.max(...lanes.map((lane) => lane.width)) + NAMES * ratio;
  found.height = lanes.reduce((sum, lane) => sum + lane.height + 6 * ratio, 0);
  pen.fillStyle = ink("--surface");
  pen.fillRect(0, 0, found.width, found.height);
  pen.fillStyle = ink("--text");
  pen.font = `${12 * ratio}px system-ui`;
  let top = 0;
  lanes.forEach((lane, i) => {
    pen.fillText(rows[i].querySelector(".lane-title")?.textContent ?? "", 4 * ratio, top + 14 * ratio, (NAMES - 10) * ratio);
    pen.drawImage(lane, NAMES * ratio, top);
    top += lane.height + 6 * ratio;
  });
  return found;
}

/**
 * Lanes one below the other, with one cursor over all of them. Pressing and dragging moves the cursor.
 * @param {{window: Window, cursor: import("../vendor/signals-core.js").Signal<number>, seek: (step: number) => void,
 *   mark?: number | null, children: any}} props `mark`: a step with a line of its own (the first difference)
 */
export function Lanes({window, cursor, seek, mark, children}) {
  const root = useRef(/** @type {HTMLElement | null} */ (null));
  const move = (/** @type {any} */ event) => {
    const box = plane(root.current);
    if (box) seek(stepAt(window, box.width, event.clientX - box.left));
  };
  const press = (/** @type {any} */ event) => {
    if (event.button !== 0 || !event.target.matches("canvas")) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    move(event);
  };
  return html`<div class="lanes" ref=${root} onPointerDown=${press}
      onPointerMove=${(/** @type {any} */ event) => event.currentTarget.hasPointerCapture(event.pointerId) && move(event)}>
    ${children}
    <div class="lanes-over" aria-hidden="true">
      <${Line} window=${window} step=${cursor} />${mark === undefined || mark === null ? null : html`<${Line} window=${window}
        step=${{value: mark}} class="mark" />`}</div>
  </div>`;
}

/** The canvases' box: all lanes have the same one. @param {Element | null} root */
const plane = (root) => root?.querySelector("canvas")?.getBoundingClientRect();

/** @param {{window: Window, step: {value: number}, class?: string}} props */
function Line({window, step, ...rest}) {
  const {from, to} = window;
  const at = ((step.value - from) / (to - from + 1)) * 100;
  const wide = 100 / (to - from + 1);
  if (at < 0 || at >= 100) return null;
  return html`<i class=${`cursor-line ${rest.class ?? ""}`} style=${{left: `${at}%`, width: `max(2px, ${wide}%)`}}></i>`;
}

/**
 * The numbers of the steps below the lanes, and how many of them are seen at once.
 * @param {{window: Window, unit: string, zoom: (by: number) => void}} props `zoom`: 1 = fewer steps, larger; -1 = more
 */
export function Axis({window: {from, to}, unit, zoom}) {
  const places = [0, 0.25, 0.5, 0.75, 1].map((share) => Math.round(from + share * (to - from)));
  return html`<div class="lane-row"><div class="lane-tools">${to - from + 1} ${unit}s <button type="button"
    title=${`More ${unit}s at once`} aria-label=${`More ${unit}s at once`} onClick=${() => zoom(-1)}>−</button>
      <button type="button" title=${`Fewer ${unit}s, larger`} aria-label=${`Fewer ${unit}s, larger`}
        onClick=${() => zoom(1)}>+</button></div>
    <div class="axis" aria-hidden="true">${[...new Set(places)].map((step) => html`<span
      key=${step}>${exact(step)}</span>`)}</div></div>`;
}

/**
 * One lane: its name and what is under the cursor on the left, its drawing on the right.
 * @param {{name: string, title?: string, height: number, draw: Draw, deps: any[], value?: any, range?: {low: number, high: number}, children?: any}} props
 */
export function Lane({name, title, height, draw, deps, value, range, children}) {
  return html`<div class="lane-row" style=${{minHeight: `${height}px`}}>
    <div class="lane-name" title=${title ?? name}>
      <span class="lane-title">${name}</span>${value}${range && html`<span class="lane-range"
        title="Least and largest in this window">${number(range.low)} … ${number(range.high)}</span>`}${children}</div>
    <${Canvas} draw=${draw} deps=${deps} height=${height} />
  </div>`;
}

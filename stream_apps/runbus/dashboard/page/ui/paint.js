/**
 * Paints on canvases: as sharp as the screen, in the colours of the theme, with holes where steps are missing.
 */
import {html, useLayoutEffect, useRef, useSignal} from "../lib/preact.js";
import {dark, ink} from "./ink.js";

/** @typedef {{from: number, to: number}} Window steps that are drawn, both included */
/** @typedef {{from: number, to: number, state: string}} Hole */
/** @typedef {CanvasRenderingContext2D} Pen */
/** @typedef {(pen: Pen, width: number, height: number) => void} Draw */

/** Where the middle of a step is, in pixels. @param {Window} window @param {number} width @param {number} step */
export const xOf = ({from, to}, width, step) => ((step - from + 0.5) / (to - from + 1)) * width;

/**
 * A canvas as sharp as the screen, drawn when `deps` change and when it gets another size.
 * @param {{draw: Draw, deps: any[], height: number, class?: string}} props
 */
export function Canvas({draw, deps, height, ...rest}) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const width = useSignal(0);
  useLayoutEffect(() => {
    if (!canvas.current) return undefined;
    const watch = new ResizeObserver(([entry]) => (width.value = Math.round(entry.contentRect.width)));
    watch.observe(canvas.current);
    return () => watch.disconnect();
  }, []);
  useLayoutEffect(() => {
    const at = canvas.current;
    const pen = at?.getContext("2d");
    if (!at || !pen || !width.value) return;
    const ratio = devicePixelRatio || 1;
    [at.width, at.height] = [Math.round(width.value * ratio), Math.round(height * ratio)];
    pen.scale(ratio, ratio);
    draw(pen, width.value, height);
  }, [...deps, dark.value, width.value, height]);
  return html`<canvas ref=${canvas} class=${rest.class ?? "lane"} style=${{height: `${height}px`}} aria-hidden="true"></canvas>`;
}

/**
 * Hatch what is lost, and grey what is not loaded yet.
 * @param {Pen} pen
 * @param {Window} window
 * @param {number} width
 * @param {number} height
 * @param {Hole[]} holes
 * @param {string} colour
 */
export function drawHoles(pen, window, width, height, holes, colour) {
  const half = width / (window.to - window.from + 1) / 2;
  for (const hole of holes) {
    const [left, right] = [xOf(window, width, hole.from) - half, xOf(window, width, hole.to) + half];
    pen.save();
    pen.beginPath();
    pen.rect(left, 0, Math.max(1, right - left), height);
    pen.clip();
    pen.strokeStyle = pen.fillStyle = hole.state === "lost" ? colour : ink("--muted");
    pen.globalAlpha = hole.state === "lost" ? 0.75 : 0.12;
    if (hole.state !== "lost") pen.fillRect(left, 0, right - left + 1, height);
    else {
      pen.beginPath();
      for (let x = left - height; x < right + 1; x += 6) {
        pen.moveTo(x, height);
        pen.lineTo(x + height, 0);
      }
      pen.stroke();
    }
    pen.restore();
  }
}

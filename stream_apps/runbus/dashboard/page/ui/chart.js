/**
 * Draws series as lines over the x axis that the charts of a page share: uPlot on a canvas, with a readout in text, a
 * table with the same numbers, and keys. Extremes stay visible (band of min and max), and so does what is smoothed.
 */
import uPlot from "../vendor/uplot.js";
import {html, effect, signal, useEffect, useMemo, useRef, useSignal} from "../lib/preact.js";
import {aligned, nearest} from "../lib/align.js";
import {expose} from "../lib/inspect.js";
import {count, number} from "../lib/format.js";
import {useKeys} from "../lib/keys.js";
import {ema, place, runningMedian} from "../lib/stats.js";
import {isDark, theme} from "../lib/theme.js";
import {Later} from "./later.js";

/** @typedef {(number | null | undefined)[]} Cells undefined: the line goes on */
/**
 * One series, in order of x. `y` is a value, or the mean of a bin that has `min`, `max` and perhaps `p10`, `p90`; null
 * is not finite: a gap. `look` is its colour (a custom property) and dash.
 * @typedef {{key: string, label: string, look: {colour: string, dash: number[]}, x: number[], y: (number | null)[],
 *   min?: Cells, max?: Cells, p10?: Cells, p90?: Cells, gaps?: number}} Series
 */
/** @typedef {{kind: "ema" | "median", size: number} | null} Smooth half life in x, or number of values */
/**
 * What is drawn. `at`: for each series the columns of its parts.
 * @typedef {{series: Series[], xs: number[], columns: (number | null | undefined)[][],
 *   at: {y: number, smooth?: number, min?: number, max?: number}[]}} Drawn
 */

const SPOKEN_MS = 300;
const MOST_SAID = 8;
/** Of a line with more points than this no dash can be seen. */
const MOST_DASHED = 300;
const AXIS_FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
/** @type {Drawn} */
const NOTHING = {series: [], xs: [], columns: [], at: []};

const numbers = async () => (await import("./numbers.js")).Numbers;

/** The charts that are there, by name. @type {Map<string, Plot>} */
const plots = new Map();
expose("charts", () => Object.fromEntries([...plots].map(([name, plot]) => [name, plot.said()])));

/** One uPlot, made anew when the number or the kind of its lines changes. */
class Plot {
  /**
   * @param {string} name
   * @param {import("../lib/axis.js").Axis} axis
   */
  constructor(name, axis) {
    this.name = name;
    this.axis = axis;
    this.drawn = signal(NOTHING);
    this.shape = "";
    /** @type {uPlot | null} */
    this.u = null;
    /** @type {HTMLElement | null} */
    this.root = null;
    this.pointed = false;
    /** @type {(() => void)[]} */
    this.ends = [];
  }

  /** @param {HTMLElement} root */
  mount(root) {
    this.root = root;
    const sized = new ResizeObserver(() => this.u?.setSize(size(root)));
    sized.observe(root);
    const dark = matchMedia("(prefers-color-scheme: dark)"), recolour = () => this.u?.redraw(false);
    dark.addEventListener("change", recolour);
    this.ends = [
      () => sized.disconnect(),
      () => dark.removeEventListener("change", recolour),
      effect(() => this.point(this.axis.cursor.value)),
      effect(() => this.scale(this.axis.shown.value)),
      effect(() => {
        void theme.value;
        requestAnimationFrame(recolour);
      }),
    ];
    this.draw();
  }

  unmount() {
    for (const end of this.ends) end();
    this.u?.destroy();
    this.u = null;
    this.shape = "";
    this.root = null;
  }

  /**
   * @param {Series[]} series
   * @param {Smooth} smooth
   */
  show(series, smooth) {
    const {columns, at, shape} = laidOut(series, smooth);
    this.drawn.value = {series, at, ...aligned(series.map((one, i) => ({x: one.x, columns: columns[i]})))};
    const {xs} = this.drawn.value;
    this.axis.has(this.name, xs.length ? [xs[0], xs[xs.length - 1]] : null);
    if (shape !== this.shape) {
      this.u?.destroy();
      this.u = null;
    }
    this.shape = shape;
    this.draw();
  }

  draw() {
    if (!this.root) return;
    const {xs, columns} = this.drawn.peek(), data = /** @type {uPlot.AlignedData} */ ([xs, ...columns]);
    if (!this.u) {
      this.u = new uPlot(this.options(), data, this.root);
      this.point(this.axis.cursor.peek());
      return;
    }
    this.u.setData(data, false);
    this.scale(this.axis.shown.peek());
  }

  /** @param {[number, number]} shown */
  scale([min, max]) {
    this.u?.setScale("x", {min, max});
    if (!this.pointed) queueMicrotask(() => this.point(this.axis.cursor.peek()));
  }

  /** @param {number | null} x */
  point(x) {
    if (!this.u || this.pointed) return;
    this.u.setCursor({left: x === null ? -10 : this.u.valToPos(x, "x"), top: x === null ? -10 : 1}, false);
  }

  /** @returns {uPlot.Options} */
  options() {
    const {series} = this.drawn.peek(), {axis} = this, root = /** @type {HTMLElement} */ (this.root);
    const time = axis.kind === "time";
    const line = () => colour(root, "--line"), muted = () => colour(root, "--muted");
    const lines = series.flatMap((one) => linesOf(one, root, this.shape.includes("~")));
    const ticks = {stroke: line, width: 1, size: 4};
    return {
      ...size(root),
      ms: 1,
      legend: {show: false},
      padding: [8, 12, 0, 0],
      scales: {
        x: {time, auto: false, range: () => axis.shown.peek()},
        y: {range: (_, min, max) => (min === null || max === null ? [0, 1] : uPlot.rangeNum(min, max, 0.08, true))},
      },
      series: [{}, ...lines.map((each) => each.series)],
      bands: lines.flatMap((each, i) => (each.fill ? [{series: /** @type {[number, number]} */ ([i + 1, i]), fill: each.fill}] : [])),
      axes: [
        {stroke: muted, font: AXIS_FONT, grid: {stroke: line, width: 1}, ticks, size: time ? 44 : 30, space: 64,
          ...(time ? {} : {values: (_, splits) => splits.map((x) => (axis.kind === "relative" ? axis.text(x) : tick(count(x))))})},
        {stroke: muted, font: AXIS_FONT, grid: {stroke: line, width: 1}, ticks, size: 58, space: 34,
          values: (_, splits) => splits.map((y) => tick(number(y)))},
      ],
      cursor: {
        y: false, drag: {x: true, y: false, setScale: false}, points: {size: 7}, hover: {prox: 24},
        bind: {dblclick: () => () => {
          axis.zoom(null);
          return null;
        }},
      },
      hooks: {
        setCursor: [(u) => this.pointed && (axis.cursor.value = (u.cursor.left ?? -1) < 0 ? null : u.posToVal(u.cursor.left ?? 0, "x"))],
        setSelect: [(u) => this.selected(u)],
        ready: [(u) => this.listen(u)],
      },
    };
  }

  /** @param {uPlot} u */
  listen(u) {
    u.over.addEventListener("mouseenter", () => {
      this.pointed = true;
      this.axis.active.value = this.name;
    });
    u.over.addEventListener("mouseleave", () => {
      this.pointed = false;
      this.axis.cursor.value = null;
    });
  }

  /** @param {uPlot} u */
  selected(u) {
    const {left, width} = u.select;
    if (width < 4) return;
    u.setSelect({left: 0, top: 0, width: 0, height: 0}, false);
    this.axis.zoom([u.posToVal(left, "x"), u.posToVal(left + width, "x")]);
  }

  /** A picture of the chart on the background of its panel. */
  picture() {
    if (!this.u || !this.root) return null;
    const from = this.u.ctx.canvas, to = document.createElement("canvas"), pen = to.getContext("2d");
    [to.width, to.height] = [from.width, from.height];
    if (!pen) return null;
    pen.fillStyle = colour(this.root, "--surface");
    pen.fillRect(0, 0, to.width, to.height);
    pen.drawImage(from, 0, 0);
    return to;
  }

  said() {
    const {series, xs} = this.drawn.value, {u, axis} = this;
    return {
      series: Object.fromEntries(series.map(({key, ...rest}) => [key, rest])), xs: xs.length, shown: axis.shown.value,
      cursor: axis.cursor.value, scale: u && [u.scales.x.min, u.scales.x.max], left: u?.cursor.left ?? null,
      pixels: u && [u.ctx.canvas.width, u.ctx.canvas.height], table: axis.tables.value.has(this.name),
    };
  }
}

/** @param {HTMLElement} root */
const size = (root) => ({width: Math.max(80, root.clientWidth), height: Math.max(80, root.clientHeight)});
/** Take zeros away behind the point: 1.50 k is 1.5 k. @param {string} text */
const tick = (text) => text.replace(/(\.\d*?)0+(?=\D|$)/, "$1").replace(/\.(?=\D|$)/, "");

/** What custom properties are, by theme. @type {Map<string, string>} */
const colours = new Map();

/**
 * Return what a custom property is now, for the canvas: the browser resolves light-dark().
 * @param {HTMLElement} root
 * @param {string} property
 * @param {number} [alpha]
 */
function colour(root, property, alpha = 1) {
  const name = `${isDark()} ${property}`;
  let found = colours.get(name);
  if (!found) {
    root.style.setProperty("--probe", `var(${property})`);
    found = getComputedStyle(root).columnRuleColor; // app.css: .plot { column-rule-color: var(--probe) }
    colours.set(name, found);
  }
  return alpha === 1 ? found : found.replace(/^rgb\((.*)\)$/, (_, parts) => `rgba(${parts}, ${alpha})`);
}

/**
 * Return the columns of each series, where they are among all, and a text that changes when uPlot must be made anew.
 * @param {Series[]} series
 * @param {Smooth} smooth
 */
function laidOut(series, smooth) {
  let next = 0;
  const at = /** @type {Drawn["at"]} */ ([]), shape = /** @type {string[]} */ ([]);
  const columns = series.map((one) => {
    const mine = /** @type {(number | null | undefined)[][]} */ ([]);
    const add = (/** @type {(number | null | undefined)[]} */ column) => next + mine.push(column) - 1;
    const place = /** @type {Drawn["at"][number]} */ ({y: 0});
    if (one.min && one.max) [place.min, place.max] = [add(one.min), add(one.max)];
    if (one.p10 && one.p90) for (const edge of [one.p10, one.p90]) add(edge);
    place.y = add(one.y);
    if (smooth) place.smooth = add(smooth.kind === "ema" ? ema(one.x, one.y, smooth.size) : runningMedian(one.y, smooth.size));
    next += mine.length;
    at.push(place);
    shape.push(JSON.stringify([one.key, one.look, mine.length, Boolean(one.p10), one.x.length > MOST_DASHED]));
    return mine;
  });
  return {columns, at, shape: shape.join() + (smooth ? "~" : "")};
}

/**
 * Return the lines of a series in the order of its columns; one with a fill closes the band that the line before begins.
 * @param {Series} one
 * @param {HTMLElement} root
 * @param {boolean} smoothed
 * @returns {{series: uPlot.Series, fill?: () => string}[]}
 */
function linesOf(one, root, smoothed) {
  const {colour: property, dash} = one.look;
  const edge = {series: {width: 0, stroke: "transparent", points: {show: false}}};
  const fill = (/** @type {number} */ alpha) => () => colour(root, property, alpha);
  const line = (/** @type {number} */ width, /** @type {number} */ alpha, /** @type {boolean} */ points) => ({series: {
    stroke: fill(alpha), width, dash: alpha < 1 || one.x.length > MOST_DASHED ? [] : dash, points: points ? {size: 4, fill: fill(alpha), stroke: fill(alpha)} : {show: false},
  }});
  return [
    ...(one.min ? [edge, {...edge, fill: fill(0.1)}] : []),
    ...(one.p10 ? [edge, {...edge, fill: fill(0.2)}] : []),
    smoothed ? line(1, 0.45, true) : line(1.5, 1, true),
    ...(smoothed ? [line(2, 1, false)] : []),
  ];
}

/**
 * @param {{name: string, label: string, unit?: string, axis: import("../lib/axis.js").Axis, series: Series[],
 *   smooth?: Smooth, plot?: {current: Plot | null}, empty?: string}} props
 * `label` says what y is; `plot` gets the plot, for its picture; `empty` stands in place of lines
 */
export function Chart({name, label, unit = "", axis, series, smooth = null, plot: out, empty = ""}) {
  const root = useRef(/** @type {HTMLDivElement | null} */ (null));
  const plot = useMemo(() => new Plot(name, axis), [name, axis]);
  const spoken = useSignal("");
  const table = axis.tables.value.has(name);
  if (out) out.current = plot;
  useEffect(() => {
    if (table || !root.current) return undefined;
    plot.mount(root.current);
    return () => plot.unmount();
  }, [plot, table]);
  useEffect(() => {
    plots.set(name, plot);
    return () => {
      if (plots.get(name) === plot) plots.delete(name);
      axis.has(name, null);
    };
  }, [plot]);
  useEffect(() => plot.show(series, smooth), [plot, series, smooth?.kind, smooth?.size]);
  useEffect(() => speaking(plot, spoken, unit), [plot]);
  if (table) return html`<${Later} load=${numbers} drawn=${plot.drawn} axis=${axis} label=${label} />`;
  return html`<figure class="chart">
    <div ref=${root} class="plot" tabindex="0" role="application" aria-roledescription="chart"
      aria-label=${`${label}${unit && `, ${unit}`}: ${series.length} series. Arrow keys move the cursor, plus and minus zoom, t shows a table.`}
      onFocus=${() => (axis.active.value = name)} onKeyDown=${(/** @type {KeyboardEvent} */ event) => moved(event, plot)}></div>
    ${series.length ? null : html`<p class="none">${empty}</p>`}
    <${Readout} plot=${plot} unit=${unit} smooth=${smooth} />
    <p class="hidden" aria-live="polite">${spoken.value}</p>
  </figure>`;
}

/**
 * Move the cursor by keys: to the next x, ten on, to an end; closer and wider.
 * @param {KeyboardEvent} event
 * @param {Plot} plot
 */
function moved(event, plot) {
  const {axis} = plot, {xs} = plot.drawn.peek(), [from, to] = axis.shown.peek();
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "+" || event.key === "-") axis.scale(event.key === "+" ? 0.5 : 2);
  else if (event.key === "Escape" && axis.cursor.peek() !== null) axis.cursor.value = null;
  else {
    const first = place(xs, from), last = place(xs, to) - (xs[place(xs, to)] === to ? 0 : 1);
    const now = axis.cursor.peek(), by = event.shiftKey ? 10 : 1;
    const here = now === null ? last + 1 : place(xs, now);
    const next = {ArrowRight: after(xs, here, now) + by - 1, ArrowLeft: here - by, Home: first, End: last}[event.key];
    if (next === undefined || !xs.length) return;
    axis.cursor.value = xs[Math.max(first, Math.min(last, next))];
  }
  event.preventDefault();
  event.stopPropagation();
}

/** The row behind that of x: several rows may lie at one x. @type {(xs: number[], here: number, x: number | null) => number} */
function after(xs, here, x) {
  let row = here;
  while (row < xs.length && xs[row] === x) row += 1;
  return row;
}

/**
 * Say what is under the cursor of a chart that has the focus, once it rests.
 * @param {Plot} plot
 * @param {import("../vendor/signals-core.js").Signal<string>} spoken
 * @param {string} unit
 */
function speaking(plot, spoken, unit) {
  let timer = 0;
  const stop = effect(() => {
    const x = plot.axis.cursor.value;
    clearTimeout(timer);
    if (x === null || plot.root !== document.activeElement) return;
    timer = window.setTimeout(() => {
      const rows = under(plot.drawn.peek(), plot.axis, x).filter((row) => row.i >= 0).slice(0, MOST_SAID);
      spoken.value = `${plot.axis.text(x)}: ${rows.map((row) => `${row.one.label} ${number(row.y)} ${unit}`).join(", ") || "no value"}`;
    }, SPOKEN_MS);
  });
  return () => {
    clearTimeout(timer);
    stop();
  };
}

/**
 * Return for each series what it has at x, or at its end.
 * @param {Drawn} drawn
 * @param {import("../lib/axis.js").Axis} axis
 * @param {number | null} x
 */
function under({series, xs, columns, at}, axis, x) {
  const [from, to] = axis.shown.value;
  return series.map((one, s) => {
    const i = nearest(xs, columns[at[s].y], x ?? to, x === null ? Infinity : (to - from) / 20);
    const read = (/** @type {number | undefined} */ column) => (column === undefined || i < 0 ? undefined : columns[column][i]);
    return {one, i, y: read(at[s].y), smooth: read(at[s].smooth), min: read(at[s].min), max: read(at[s].max)};
  });
}

/** The values under the cursor, in text; without a cursor the newest. @param {{plot: Plot, unit: string, smooth: Smooth}} props */
function Readout({plot, unit, smooth}) {
  const x = plot.axis.cursor.value, rows = under(plot.drawn.value, plot.axis, x);
  const gaps = plot.drawn.value.series.reduce((sum, one) => sum + (one.gaps ?? 0), 0);
  return html`<figcaption class="readout">
    <span class="at">${x === null ? "newest" : plot.axis.text(x)}</span>
    ${rows.slice(0, MOST_SAID).map(({one, y, smooth: even, min, max}) => html`<span class="value-of" key=${one.key}>
      <${Swatch} look=${one.x.length > MOST_DASHED ? {...one.look, dash: []} : one.look} /><span class="who">${one.label}</span>
      <b>${number(y)}</b>${unit && html` <span class="unit">${unit}</span>`}
      ${min !== undefined && min !== max ? html`<span class="muted"> ${number(min)} to ${number(max)}</span>` : null}
      ${smooth && html`<span class="muted"> · ${smooth.kind === "ema" ? "average" : "median"} ${number(even)}</span>`}
    </span>`)}
    ${rows.length > MOST_SAID ? html`<span class="muted">and ${rows.length - MOST_SAID} more: t shows all</span>` : null}
    ${gaps > 0 ? html`<span class="warn">${count(gaps)} not finite</span>` : null}
  </figcaption>`;
}

/** How a series is drawn: its colour and its dash. @param {{look: Series["look"]}} props */
export function Swatch({look}) {
  return html`<svg class="swatch" viewBox="0 0 22 8" width="22" height="8" aria-hidden="true">
    <path d="M0 4h22" fill="none" stroke=${`var(${look.colour})`} stroke-width="2.5" stroke-dasharray=${look.dash.join(" ")} /></svg>`;
}

/**
 * Let the keys of charts work on a page: table, undo.
 * @param {import("../lib/axis.js").Axis} axis
 */
export function useChartKeys(axis) {
  useKeys({
    table: () => {
      const one = axis.active.peek();
      for (const name of plots.has(one) ? [one] : plots.keys()) axis.swap(name);
    },
    "undo-zoom": () => axis.undo(),
  });
}

/**
 * Draws an episode of numbers: lanes of its window on one side, what is under the cursor on the other.
 */
import {html, useMemo} from "../lib/preact.js";
import {COLOURS} from "../lib/colour.js";
import {differences} from "../lib/diff.js";
import {exact, moment, number} from "../lib/format.js";
import {actionLanes, actionNames, heat, layoutText, lookOf} from "../lib/observation.js";
import {rangeOf, spread} from "../lib/spread.js";
import {Recorded} from "./canvas.js";
import {ink} from "./ink.js";
import {drawHoles} from "./paint.js";
import {Axis, drawCurve, drawHeat, drawLanes, Lane, Lanes, LanesPanel} from "./strip.js";

/** @typedef {import("./desk.js").Desk} Desk */
/** @typedef {import("../lib/source.js").Source} Source */
/** @typedef {import("../lib/episode.js").Step} Step */

const MOST_EXTRAS = 8;
const TABLE_ROWS = 25;
const LETTERS = ["A", "B"];

/** Names of the discrete actions, as the run's configuration has them. @param {Desk} desk */
const namesOf = (desk) => useMemo(() => actionNames(desk.config.value), [desk.config.value]);

/** @param {{desk: Desk}} props */
export function StepsView({desk}) {
  const {from, to} = desk.window.value;
  const two = desk.sources.length > 1;
  const source = {path: "/episode/steps", params: {...desk.main.id, from, to, most: to - from + 1}};
  const tools = html`<button type="button" class="quiet" aria-pressed=${desk.table.value} title="The steps as a table (t)"
    onClick=${() => (desk.table.value = !desk.table.value)}>Table</button>`;
  return html`<div class="steps-view ${two ? "two" : ""}">
    <${LanesPanel} wide=${desk.wide} title="Steps" unit=${`${exact(from)} to ${exact(to)}`} source=${source} fresh=${desk.fresh()} tools=${tools}>
      ${desk.table.value && html`<${StepTable} desk=${desk} />`}
      ${
        !desk.table.value &&
        html`<${Lanes} window=${desk.window.value} cursor=${desk.player.cursor}
          seek=${(/** @type {number} */ step) => desk.player.seek(step)} mark=${desk.differs.value?.step}>
          ${desk.sources.map((one, i) => html`<${LanesOf} key=${i} desk=${desk} source=${one} letter=${two ? LETTERS[i] : ""} />`)}
          <${Axis} window=${desk.window.value} unit="step" zoom=${(/** @type {number} */ by) => desk.zoom(by)} />
        </${Lanes}>`
      }
    </${LanesPanel}>
    ${desk.sources.map((one, i) => html`<${Now} key=${i} desk=${desk} source=${one} letter=${two ? LETTERS[i] : ""} />`)}
  </div>`;
}

/**
 * What the lanes of a window are drawn from; made anew when the window or its steps change, not when the cursor moves.
 * @param {Source} source
 * @param {{from: number, to: number}} window
 * @param {string[]} names
 */
function laid(source, {from, to}, names) {
  const steps = Array.from({length: to - from + 1}, (_, i) =>
    from + i <= source.last.peek() ? source.cache.get(from + i) : undefined,
  );
  const extras = [...new Set(steps.flatMap((step) => (step ? Object.keys(step.extras) : [])))]
    .sort()
    .slice(0, MOST_EXTRAS);
  const action = steps.map((step) => step?.action ?? null);
  return {
    steps,
    extras,
    holes: source.cache.holes(from, Math.min(to, source.last.peek())),
    lanes: actionLanes(action, names),
    action: numbersOf(action),
    observation: numbersOf(steps.map((step) => step?.observation ?? null)),
  };
}

/** Columns of a heat strip, or null if there is nothing to draw in one. @param {(import("../lib/episode.js").Value | null)[]} values */
function numbersOf(values) {
  const columns = values.map((value) =>
    value && ["vector", "scalar", "grid"].includes(lookOf(value)) ? (value.numbers ?? null) : null,
  );
  const rows = columns.reduce((most, column) => Math.max(most, column?.length ?? 0), 0);
  return rows ? {columns, rows, ranges: heat(columns).ranges} : null;
}

/** @param {{desk: Desk, source: Source, letter: string}} props */
function LanesOf({desk, source, letter}) {
  const window = desk.window.value;
  const version = source.version.value;
  const names = namesOf(desk);
  const all = useMemo(() => laid(source, window, names), [window.from, window.to, version, names, source.last.value]);
  const deps = [all];
  const at = (/** @type {(step: Step) => any} */ say) => html`<${At} desk=${desk} source=${source} say=${say} />`;
  const holes = (/** @type {any} */ pen, /** @type {number} */ width, /** @type {number} */ height) =>
    drawHoles(pen, window, width, height, all.holes, ink("--bad"));
  const curve =
    (/** @type {(number | null | undefined)[]} */ values, /** @type {string} */ colour, /** @type {boolean} */ steps) =>
    (/** @type {any} */ pen, /** @type {number} */ width, /** @type {number} */ height) => {
      drawCurve(pen, width, height, {values, colour: ink(colour), ...rangeOf(values, steps), join: !steps, steps});
      holes(pen, width, height);
    };
  const rewards = all.steps.map((step) => (step && step.step > 0 ? step.reward : undefined));
  return html`
    ${letter && html`<div class="lane-head">
      <b class="letter">${letter}</b> ${source.id.agent} · episode ${source.id.episode}</div>`}
    <${Lane} name="reward" height=${72} deps=${deps} draw=${curve(rewards, "--c0", true)}
      range=${spread(/** @type {any} */ (rewards))}
        value=${at((step) => (step.reward === null ? "not finite" : number(step.reward)))} />
    ${
      all.lanes
        ? html`<${Lane} name="action" height=${Math.max(24, Math.min(150, all.lanes.labels.length * 18))} deps=${deps}
          draw=${(/** @type {any} */ pen, /** @type {number} */ width, /** @type {number} */ height) => {
            if (all.lanes) drawLanes(pen, width, height, all.lanes, COLOURS.map(ink));
            holes(pen, width, height);
          }} value=${at((step) => nameOf(step, names))}>
            <ol class="lane-labels">${all.lanes.labels.map((label, i) => html`<li key=${i}
              style=${{color: `var(${COLOURS[i % COLOURS.length]})`}}>${label}</li>`)}</ol></${Lane}>`
        : all.action && html`<${HeatLane} name="action" strip=${all.action} deps=${deps} holes=${holes} />`
    }
    ${
      all.observation?.rows === 1
        ? html`<${Lane} name="observation" height=${54} deps=${deps} draw=${curve(
            all.observation.columns.map((column) => column?.[0]),
            "--c2",
            false,
          )} range=${all.observation.ranges[0]} value=${at((step) => number(step.observation.numbers?.[0]))} />`
        : all.observation &&
          html`<${HeatLane} name="observation" strip=${all.observation} deps=${deps} holes=${holes} />`
    }
    ${all.extras.map(
      (name) => html`<${Lane} key=${name} name=${name} height=${44} deps=${deps} draw=${curve(
        all.steps.map((step) => step?.extras[name]),
        "--c1",
        false,
      )} range=${spread(all.steps.map((step) => step?.extras[name] ?? null))}
      value=${at((step) => (name in step.extras ? (step.extras[name] === null ? "not finite" : number(step.extras[name])) : ""))} />`,
    )}
    ${all.holes.some((hole) => hole.state === "lost") && html`<p class="lane-note"><i class="hatch">
      </i> Hatched: steps that never arrived</p>`}`;
}

/** @param {{name: string, strip: {columns: any[], rows: number}, deps: any[], holes: any}} props */
function HeatLane({name, strip, deps, holes}) {
  const height = Math.max(32, Math.min(240, strip.rows * 18));
  return html`<${Lane} name=${name} title=${`${strip.rows} numbers a step; each row between its least and its largest in this window`}
    height=${height} deps=${deps}
    draw=${(/** @type {any} */ pen, /** @type {number} */ width) => {
      drawHeat(pen, width, height, strip.columns);
      holes(pen, width, height);
    }} value=${html`<span class="muted">${strip.rows} rows</span>`} />`;
}

/** What a lane says of the step under the cursor. @param {{desk: Desk, source: Source, say: (step: Step) => any}} props */
function At({desk, source, say}) {
  void source.version.value;
  const step = source.cache.get(desk.player.cursor.value);
  return html`<span class="lane-value">${step ? say(step) : ""}</span>`;
}

/** The action of a step in a word. @param {Step} step @param {string[]} names */
function nameOf({action}, names) {
  const x = action.numbers?.[0];
  return x === undefined || x === null ? "–" : (names[x] ?? number(x));
}

/** The step under the cursor. @param {{desk: Desk, source: Source, letter: string}} props */
export function Now({desk, source, letter}) {
  void source.version.value;
  const cursor = desk.player.cursor.value;
  const step = source.cache.get(cursor);
  const {from, to} = desk.window.value;
  const ranges = useMemo(
    () => numbersOf(source.cache.between(from, to).map((one) => one.observation))?.ranges,
    [from, to, source.version.value],
  );
  const state = cursor > source.last.value ? "behind" : source.cache.stateOf(cursor);
  const differs = letter ? differences(...both(desk, cursor)) : [];
  return html`<section class="panel step-now" aria-label=${letter ? `Step of ${letter}` : "Step under the cursor"}>
    <header><h2>${letter && html`<b class="letter">${letter}</b> `}Step ${exact(cursor)}</h2>
      ${step?.terminated && html`<span class="badge">terminated</span>`}${step?.truncated && html`<span
        class="badge">truncated</span>`}
      ${step?.kind && html`<span class="badge">${step.kind}</span>`}${step?.status && html`<span
        class="badge ${step.status === "ok" ? "" : "bad"}">${step.status}</span>`}
      ${differs.length > 0 && html`<span class="badge warn">differs: ${differs.join(", ")}</span>`}
      <span class="grow"></span>
      <button type="button" class="quiet" aria-pressed=${desk.raw.value} title="Raw values (r)"
        onClick=${() => (desk.raw.value = !desk.raw.value)}>Raw</button></header>
    <div class="body">${!step ? html`<${Missing} state=${state} cursor=${cursor} />` : desk.raw.value ? html`<pre
      tabindex="0" class="value-text raw">${rawOf(step)}</pre>` : html`<${Seen} step=${step} names=${namesOf(desk)} ranges=${ranges} />`}</div>
  </section>`;
}

/** @param {Desk} desk @param {number} cursor @returns {[Step | undefined, Step | undefined]} */
function both({sources}, cursor) {
  for (const source of sources) void source.version.value;
  return [sources[0].cache.get(cursor), sources[1].cache.get(cursor)];
}

/** @param {{step: Step, names: string[], ranges?: {low: number, high: number}[]}} props */
function Seen({step, names, ranges}) {
  const extras = Object.entries(step.extras);
  return html`
    <dl class="step-facts">
      <div><dt>Reward</dt><dd>${step.step === 0 ? html`<span
        class="muted">reset</span>` : step.reward === null ? "not finite" : number(step.reward)}</dd></div>
      <div><dt>Time</dt><dd>${moment(step.ts)}</dd></div>
      <div><dt>seq</dt><dd>${exact(step.seq)}</dd></div>
      ${step.tick >= 0 && html`<div><dt>Tick</dt><dd>${exact(step.tick)}</dd></div>`}
      ${step.parent >= 0 && html`<div><dt>Caused by seq</dt><dd>${exact(step.parent)}</dd></div>`}
      ${step.stop && html`<div><dt>Stopped</dt><dd>${step.stop}</dd></div>`}
    </dl>
    <h3>Observation <span class="unit">${layoutText(step.observation)}</span></h3>
    <${Recorded} value=${step.observation} ranges=${ranges} />
    ${step.step > 0 && html`<h3>Action <span class="unit">${layoutText(step.action)}</span></h3>
      <${Recorded} value=${step.action} names=${names} />`}
    ${extras.length > 0 && html`<h3>Logged</h3>
      <dl class="step-facts">${extras.map(([name, value]) => html`<div key=${name}><dt>${name}</dt>
        <dd>${value === null ? "not finite" : number(value)}</dd></div>`)}</dl>`}
    ${step.info && html`<h3>Info</h3><pre tabindex="0" class="value-text">${step.info}</pre>`}`;
}

/** @param {{state: string, cursor: number}} props */
function Missing({state, cursor}) {
  if (state === "lost")
    return html`<div class="not-here"><b>Step ${exact(cursor)} never arrived</b>
      <p>The recorder gave it up, or it was lost before the log. Its place is hatched.</p></div>`;
  if (state === "behind") return html`<p class="muted">This episode has no step ${exact(cursor)}.</p>`;
  return html`<p class="muted">Loading step ${exact(cursor)} …</p>`;
}

/** A step as JSON, its values flat. @param {Step} step */
function rawOf(step) {
  return JSON.stringify(
    step,
    (_, value) => (ArrayBuffer.isView(value) ? Array.from(/** @type {any} */ (value)) : value),
    1,
  ).replaceAll(/\[\s+([-\d.,\s\w]+?)\s+\]/g, (_, inner) => `[${inner.replaceAll(/\s+/g, " ")}]`);
}

/** The lanes as a table: the steps around the cursor. @param {{desk: Desk}} props */
function StepTable({desk}) {
  const {player, main} = desk;
  void main.version.value;
  const {first, last} = player.extent.value;
  const from = Math.max(first, Math.min(last - TABLE_ROWS + 1, player.cursor.value - Math.floor(TABLE_ROWS / 2)));
  const steps = main.cache.between(from, Math.min(last, from + TABLE_ROWS - 1));
  const extras = [...new Set(steps.flatMap((step) => Object.keys(step.extras)))].slice(0, MOST_EXTRAS);
  return html`<div class="scroll-x"><table aria-label="Steps around the cursor" aria-rowcount=${last - first + 1}>
    <thead><tr><th class="num">step</th><th class="num">seq</th><th class="num">reward</th>
      <th>action</th>${extras.map((name) => html`<th class="num" key=${name}>${name}</th>`)}<th>end</th></tr></thead>
    <tbody>${steps.map(
      (
        step,
      ) => html`<tr key=${step.step} class=${step.step === player.cursor.value ? "cursor" : ""}
        aria-rowindex=${step.step - first + 1} onClick=${() => player.seek(step.step)}>
      <td class="num">${exact(step.step)}</td><td class="num">${exact(step.seq)}</td>
        <td class="num">${step.step ? number(step.reward) : "reset"}</td><td>${nameOf(step, namesOf(desk))}</td>
      ${extras.map((name) => html`<td class="num"
        key=${name}>${name in step.extras ? number(step.extras[name]) : ""}</td>`)}<td>${step.terminated ? "terminated" : step.truncated ? "truncated" : ""}</td></tr>`,
    )}</tbody></table></div>`;
}

/**
 * A transcript: the turns of an episode of text or JSON, what belongs to each, and what they cost. Built from an outline
 * (one short entry a step, without its text), so 70,000 steps are cheap; text is read where it is shown. Pure.
 *
 * Conventions (docs/dashboard.md): an observation holds the messages that are new since the step before, an action
 * what the agent answered; `kind`, `status` and `parent` say who acted, how it went and what caused it; the extras
 * `llm.input_tokens`, `llm.output_tokens`, `llm.cached_tokens`, `llm.cost_usd`, `llm.ttft_ms` and `duration_ms` what it cost.
 */

import {isError} from "./jump.js";

/**
 * @typedef {object} Entry one step in the outline
 * @property {number} seq
 * @property {number} step
 * @property {number} ts microseconds: when the step was over
 * @property {string} kind
 * @property {string} status
 * @property {number} parent seq, -1 = none
 * @property {number} reward
 * @property {number} input tokens
 * @property {number} output tokens
 * @property {number} cached tokens
 * @property {number} cost US dollars
 * @property {number} duration milliseconds
 */

/** @typedef {{steps: number, tools: number, errors: number, input: number, output: number, cached: number, cost: number, duration: number, reward: number}} Totals */

/** @typedef {{head: number, entries: number[], totals: Totals}} Turn places in the outline; the head is one of them */

/** @returns {Totals} */
export const noTotals = () => ({
  steps: 0,
  tools: 0,
  errors: 0,
  input: 0,
  output: 0,
  cached: 0,
  cost: 0,
  duration: 0,
  reward: 0,
});

/**
 * Adds a step, or the totals of several, to totals.
 * @param {Totals} totals
 * @param {Entry} entry
 */
export function count(totals, entry) {
  totals.steps += 1;
  totals.tools += entry.kind === "tool" ? 1 : 0;
  totals.errors += isError(entry.status) ? 1 : 0;
  for (const name of SUMS) totals[name] += Number.isFinite(entry[name]) ? entry[name] : 0;
  return totals;
}

/** @type {("input" | "output" | "cached" | "cost" | "duration" | "reward")[]} */
const SUMS = ["input", "output", "cached", "cost", "duration", "reward"];

/** @param {Totals} into @param {Totals} from */
function merge(into, from) {
  for (const name of /** @type {(keyof Totals)[]} */ (Object.keys(into))) into[name] += from[name];
}

/**
 * The outline of an episode in its turns and as a tree. It grows at its end while the episode runs.
 */
export class Outline {
  constructor() {
    /** @type {Entry[]} in order of `seq` */
    this.entries = [];
    /** @type {Map<number, number>} place in `entries` of a seq */
    this.places = new Map();
    /** @type {Turn[]} */
    this.turns = [];
    /** @type {number[]} turn of each entry */
    this.turnOf = [];
    this.totals = noTotals();
  }

  /**
   * Appends steps that are newer than all that are here; others are passed over, so a step that comes twice counts once.
   * @param {Iterable<Entry>} entries
   * @returns {number} how many were new
   */
  append(entries) {
    const before = this.entries.length;
    for (const entry of entries) {
      if (entry.seq <= (this.entries.at(-1)?.seq ?? -1)) continue;
      const place = this.entries.push(entry) - 1;
      const turn = this.turnFor(entry, place);
      this.places.set(entry.seq, place);
      const held = this.turns[turn];
      if (held) held.entries.push(place);
      else this.turns.push({head: place, entries: [place], totals: noTotals()});
      this.turnOf.push(turn);
      count(this.turns[turn].totals, entry);
      count(this.totals, entry);
    }
    return this.entries.length - before;
  }

  /**
   * The turn of a step: a tool's is the one of the step that called it, or the last one; everything else begins its own.
   * @param {Entry} entry
   * @param {number} place
   */
  turnFor(entry, place) {
    if (entry.kind !== "tool" || place === 0) return this.turns.length;
    const parent = this.places.get(entry.parent);
    return parent === undefined ? this.turns.length - 1 : this.turnOf[parent];
  }

  /** The turn that shows a step, or of the last one before it. @param {number} step */
  turnAt(step) {
    let [low, high] = [0, this.entries.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.entries[middle].step <= step) low = middle;
      else high = middle - 1;
    }
    return this.turnOf[low] ?? 0;
  }
}

/**
 * The steps as a tree by `parent`. What goes on where another step ended is beside it, not below it: a tool is below the
 * step that called it, and below a step that caused several others are these; so a talk of any length is a flat list of
 * turns. A parent that is not in the episode, or that comes later, is none.
 * @param {Entry[]} entries in order of seq
 * @param {Map<number, number>} places
 * @returns {{children: number[][], roots: number[], depth: number[], totals: Totals[]}} by place; `totals` with all that is below
 */
export function treeOf(entries, places) {
  const causes = entries.map((entry, place) => {
    const cause = places.get(entry.parent) ?? -1;
    return cause < place ? cause : -1;
  });
  /** The step that a tool, or what a tool caused, works for. @param {number} place */
  const owner = (place) => {
    while (entries[place].kind === "tool" && causes[place] >= 0) place = causes[place];
    return place;
  };
  /** @type {Map<number, number>} how many others than tools a step caused, itself or by its tools */
  const caused = new Map();
  causes.forEach((cause, place) => {
    if (cause >= 0 && entries[place].kind !== "tool") caused.set(owner(cause), (caused.get(owner(cause)) ?? 0) + 1);
  });
  /** @type {number[][]} */
  const children = entries.map(() => []);
  /** @type {number[]} */
  const roots = [];
  /** @type {number[]} */
  const depth = [];
  /** @type {number[]} */
  const above = [];
  causes.forEach((cause, place) => {
    const from = cause < 0 ? -1 : owner(cause);
    above[place] =
      cause < 0 ? -1 : entries[place].kind === "tool" ? cause : (caused.get(from) ?? 0) > 1 ? from : above[from];
    (above[place] < 0 ? roots : children[above[place]]).push(place);
    depth[place] = above[place] < 0 ? 0 : depth[above[place]] + 1;
  });
  const totals = entries.map((entry) => count(noTotals(), entry));
  for (let place = entries.length - 1; place >= 0; place--) {
    const parent = above[place];
    if (parent >= 0) merge(totals[parent], totals[place]);
  }
  return {children, roots, depth, totals};
}

/**
 * Places of the tree from top to bottom as it is shown: what is below a folded one is left out.
 * @param {{children: number[][], roots: number[]}} tree
 * @param {Set<number>} folded places
 */
export function shown({children, roots}, folded) {
  /** @type {number[]} */
  const order = [];
  const stack = [...roots].reverse();
  for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
    order.push(place);
    const below = children[place];
    if (!folded.has(place)) for (let i = below.length - 1; i >= 0; i--) stack.push(below[i]);
  }
  return order;
}

/**
 * When each step ran: from its end and its `duration_ms`; without one from the end of the step before.
 * @param {Entry[]} entries
 * @returns {{from: number, to: number}[]} microseconds
 */
export function spans(entries) {
  return entries.map((entry, place) => {
    const before = entries[place - 1]?.ts ?? entry.ts;
    return {from: Math.min(entry.ts, entry.duration > 0 ? entry.ts - entry.duration * 1000 : before), to: entry.ts};
  });
}

/**
 * @typedef {object} Message
 * @property {string} role as it says itself, or empty
 * @property {string} text
 * @property {string} reasoning
 * @property {{name: string, input: string, id: string}[]} calls
 * @property {string[]} other what it holds besides, in words (an image, a file)
 */

const message = (/** @type {Partial<Message>} */ part) => ({
  role: "",
  text: "",
  reasoning: "",
  calls: [],
  other: [],
  ...part,
});

/**
 * The messages in an action or observation: text; a chat message or a list of them (content as text or parts, tool calls
 * in the two usual forms); a tool call by itself. Anything else is its JSON.
 * @param {{dtype: string, text?: string}} value
 * @returns {Message[]}
 */
export function messages({dtype, text}) {
  if (text === undefined || text === "") return [];
  if (dtype === "text") return [message({text})];
  let data;
  try {
    data = JSON.parse(text);
  } catch {
    return [message({text})];
  }
  return (Array.isArray(data) && data.every((item) => isObject(item) && "role" in item) ? data : [data]).map(
    oneMessage,
  );
}

/** @param {unknown} data @returns {data is Record<string, any>} */
const isObject = (data) => typeof data === "object" && data !== null && !Array.isArray(data);

/** @param {unknown} data */
const asText = (data) =>
  data === undefined || data === null ? "" : typeof data === "string" ? data : JSON.stringify(data, null, 1);

/** @param {any} data @returns {Message} */
function oneMessage(data) {
  if (!isObject(data)) return message({text: asText(data)});
  const alone = callOf(data);
  if (alone && !("content" in data))
    return message({role: asText(data["role"]), text: asText(data["thought"]), calls: [alone]});
  if (!("content" in data) && !("text" in data) && !("tool_calls" in data)) return message({text: asText(data)});
  const found = message({
    role: asText(data["role"]),
    reasoning: asText(data["reasoning"] ?? data["reasoning_content"]),
  });
  const content = data["content"] ?? data["text"];
  for (const part of Array.isArray(content) ? content : [content]) addPart(found, part);
  for (const call of Array.isArray(data["tool_calls"]) ? data["tool_calls"] : []) {
    const read = isObject(call) ? callOf(call["function"] ?? call) : null;
    if (read) found.calls.push({...read, id: asText(call.id)});
  }
  return found;
}

/** @param {Message} found @param {any} part */
function addPart(found, part) {
  if (!isObject(part)) found.text += asText(part);
  else if (part["type"] === "thinking" || part["type"] === "reasoning")
    found.reasoning += asText(part["thinking"] ?? part["text"]);
  else if (part["type"] === "tool_use")
    found.calls.push({...(callOf(part) ?? {name: "", input: ""}), id: asText(part["id"])});
  else if ("text" in part) found.text += asText(part["text"]);
  else if (part["type"] === "tool_result") found.text += asText(part["content"]);
  else found.other.push(asText(part["type"]) || asText(part));
}

/**
 * A tool call in one of the forms people write, or null.
 * @param {any} data
 */
function callOf(data) {
  const name = data["tool"] ?? data["name"] ?? data["tool_name"];
  if (typeof name !== "string") return null;
  const {
    tool: _tool,
    name: _name,
    tool_name: _toolName,
    role: _role,
    thought: _thought,
    type: _type,
    id,
    ...rest
  } = data;
  const input = data["arguments"] ?? data["input"] ?? data["args"] ?? data["parameters"] ?? rest;
  return {name, input: asText(isObject(input) && !Object.keys(input).length ? "" : input), id: asText(id)};
}

/** The first line of a text, at most `most` characters. @param {string} text @param {number} [most] */
export function firstLine(text, most = 120) {
  const line = text.trimStart().split("\n", 1)[0] ?? "";
  return line.length > most ? `${line.slice(0, most - 1)}…` : line;
}

/**
 * A text cut where a word was found, so the word can be marked without markup.
 * @param {string} text
 * @param {string} word case does not matter; empty = nothing is found
 * @returns {{text: string, found: boolean}[]}
 */
export function cut(text, word) {
  if (!word) return [{text, found: false}];
  const parts = [];
  // toLowerCase may change the length of a text (İ): then only the exact word is looked for
  const lower = text.toLowerCase();
  const [in_, for_] = lower.length === text.length ? [lower, word.toLowerCase()] : [text, word];
  let from = 0;
  for (let at = in_.indexOf(for_); at >= 0; at = in_.indexOf(for_, from)) {
    if (at > from) parts.push({text: text.slice(from, at), found: false});
    from = at + for_.length;
    parts.push({text: text.slice(at, from), found: true});
  }
  if (from < text.length || !parts.length) parts.push({text: text.slice(from), found: false});
  return parts;
}

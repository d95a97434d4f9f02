/**
 * Reads the filter of a list of runs, and says which runs it lets through. Pure; history/filter.py does the same in SQL,
 * and tests/page/filter_cases.json holds for both.
 *
 * Clauses stand side by side and all must hold; `-` in front turns one round.
 *
 *     walk              a word of the run's name, its labels or its tags, in any case
 *     "two words"       the same with a space
 *     /seed-[0-3]$/     a regular expression over the run's name
 *     state:failed      a field is it; `*` stands for anything; `a,b` is one of them
 *     lr>=1e-4          a field is a number, or a time, and compares: > >= < <=
 *     algo~^dq          a field by regular expression
 *
 * Fields are those of the row (run, state, agents, steps, return, dropped, gaps, started), `tag`, and whatever labels
 * and configuration have; `label.x` and `config.x` say which, and a dot goes into a nested configuration.
 */

/** @typedef {import("./channels.js").Row} Row */
/** @typedef {":" | ">" | ">=" | "<" | "<=" | "~"} Op */
/** @typedef {{text: string, not: boolean, field: string, op: Op, value: string}} Clause `field` "" = a word */
/** @typedef {{clause: string, why: string}} Wrong */
/** @typedef {{clauses: Clause[], wrong: Wrong | null, keeps: (row: Row) => boolean}} Filter */

const TOKEN = /(-?)(?:\/((?:[^/\\]|\\.)+)\/(?=\s|$)|("(?:[^"\\]|\\.)*"|[^\s:=<>~"]+)(>=|<=|[:=<>~])("(?:[^"\\]|\\.)*"|\S*)|("(?:[^"\\]|\\.)*"|\S+))/y;
const ALIASES = new Map(Object.entries({outcome: "state", name: "run", return: "mean_return", started: "started_at"}));
const TIMES = ["started_at"];
/** The server takes filters of 2,000 characters. */
const MOST_TEXT = 1900;
/** What the filter may name besides labels and configuration. */
const FIELDS = ["run", "state", "agents", "steps", "sps", "epm", "mean_return", "dropped", "gaps", "started_at"];

/**
 * Read a filter. What is wrong stands in `wrong`; the clauses before it hold.
 * @param {string} text
 * @returns {Filter}
 */
export function filter(text) {
  /** @type {Clause[]} */
  const clauses = [];
  /** @type {((row: Row) => boolean)[]} */
  const tests = [];
  /** @type {Wrong | null} */
  let wrong = null;
  for (const token of tokens(text)) {
    const clause = token && clauseOf(token);
    const why = clause ? whyNot(clause) : "a quotation mark is missing";
    if (!clause || why) {
      wrong = {clause: token?.[0] ?? text.trim(), why};
      break;
    }
    clauses.push(clause);
    tests.push(tester(clause));
  }
  return {clauses, wrong, keeps: (row) => tests.every((test) => test(row))};
}

/**
 * Return the clause that alone lets nothing through, or null: what a reader should look at when a list is empty.
 * @param {Clause[]} clauses
 * @param {Row[]} rows
 */
export function emptying(clauses, rows) {
  return clauses.find((clause) => !rows.some(tester(clause))) ?? null;
}

/**
 * Return a filter that keeps the first of these runs, and how many of them it has room for.
 * @param {string[]} names
 */
export function oneOf(names) {
  const parts = names.map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&").replace(/["\\]/g, "\\$&"));
  let room = MOST_TEXT - 'name~"^()$"'.length;
  const taken = parts.findIndex((part) => (room -= part.length + 1) < 0);
  const fit = taken < 0 ? parts : parts.slice(0, Math.max(1, taken));
  return {q: `name~"^(${fit.join("|")})$"`, count: fit.length};
}

/** @param {string} text */
function* tokens(text) {
  const reader = new RegExp(TOKEN);
  let at = 0;
  for (;;) {
    at += (/^\s*/.exec(text.slice(at)) ?? [""])[0].length;
    if (at >= text.length) return;
    reader.lastIndex = at;
    const found = reader.exec(text);
    if (!found || /^-?"/.test(found[0]) !== /^-?"(?:[^"\\]|\\.)*"/.test(found[0]) || /[:=<>~]"[^"]*$/.test(found[0])) {
      yield null;
      return;
    }
    yield found;
    at = reader.lastIndex;
  }
}

/**
 * @param {RegExpExecArray} token
 * @returns {Clause}
 */
function clauseOf(token) {
  const [text, minus, regex, field, op, value, word] = token;
  const not = minus === "-";
  if (regex !== undefined) return {text, not, field: "run", op: "~", value: regex};
  if (field !== undefined) {
    const name = plain(field);
    return {text, not, field: ALIASES.get(name) ?? name, op: /** @type {Op} */ (op === "=" ? ":" : op), value: plain(value)};
  }
  return {text, not, field: "", op: ":", value: plain(word)};
}

/** @param {string} text */
function plain(text) {
  return text.startsWith('"') ? text.slice(1, -1).replace(/\\(.)/g, "$1") : text;
}

/**
 * @param {Clause} clause
 * @returns {string} "" = nothing is wrong with it
 */
function whyNot({field, op, value}) {
  if (value === "") return "a value is missing";
  if (op === "~") return isRegex(value) ? "" : "this is no regular expression";
  if (op === ":") return "";
  if (TIMES.includes(field)) return Number.isNaN(Date.parse(value)) ? "a date is missing: started>=2026-11-29" : "";
  return numeric(value) === null ? "a number is missing" : "";
}

/** @param {string} value */
function isRegex(value) {
  try {
    return Boolean(new RegExp(value, "i"));
  } catch {
    return false;
  }
}

/**
 * @param {Clause} clause
 * @returns {(row: Row) => boolean}
 */
function tester(clause) {
  const holds = clause.field ? fieldTester(clause) : wordTester(clause.value);
  return clause.not ? (row) => !holds(row) : holds;
}

/** @param {string} word */
function wordTester(word) {
  const wanted = word.toLowerCase();
  return (/** @type {Row} */ row) => words(row).some((text) => text.toLowerCase().includes(wanted));
}

/** @param {Row} row */
function words(row) {
  return [row.run, ...Object.values(row.labels ?? {}), ...(row.tags ?? [])].map(String);
}

/** @param {Clause} clause */
function fieldTester({field, op, value}) {
  const one = op === "~" ? byRegex(value) : op === ":" ? byValue(value) : byOrder(op, value, TIMES.includes(field));
  return (/** @type {Row} */ row) => valuesOf(row, field).some(one);
}

/** @param {string} value */
function byRegex(value) {
  const regex = new RegExp(value, "i");
  return (/** @type {unknown} */ found) => regex.test(written(found));
}

/** @param {string} value */
function byValue(value) {
  const wanted = value.split(",").map((one) => ({number: numeric(one), regex: glob(one)}));
  return (/** @type {unknown} */ found) => {
    const number = typeof found === "boolean" ? null : numeric(found);
    return wanted.some((one) => (one.number !== null && one.number === number) || one.regex.test(written(found)));
  };
}

/** @param {string} text */
function glob(text) {
  return new RegExp(`^${text.split("*").map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join(".*")}$`, "is");
}

/**
 * @param {Op} op
 * @param {string} value
 * @param {boolean} time
 */
function byOrder(op, value, time) {
  const wanted = time ? Date.parse(value) * 1000 : Number(value);
  return (/** @type {unknown} */ found) => {
    const number = typeof found === "boolean" ? null : numeric(found);
    if (number === null) return false;
    if (op === ">") return number > wanted;
    if (op === ">=") return number >= wanted;
    return op === "<" ? number < wanted : number <= wanted;
  };
}

/** @param {unknown} value */
function numeric(value) {
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value !== "string" || !/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(value)) return null;
  return Number(value);
}

/** @param {unknown} value */
function written(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/**
 * Return the values that a field has in a row: none, one, or one for each tag.
 * @param {Row} row
 * @param {string} field
 * @returns {unknown[]}
 */
export function valuesOf(row, field) {
  if (field === "tag") return row.tags ?? [];
  if (FIELDS.includes(field)) return present(row[field]);
  if (field.startsWith("label.")) return present(own(row.labels, field.slice(6)));
  if (field.startsWith("config.")) return present(inside(row.config, field.slice(7)));
  const label = present(own(row.labels, field));
  return label.length ? label : present(inside(row.config, field));
}

/**
 * @param {unknown} config
 * @param {string} path
 * @returns {unknown}
 */
function inside(config, path) {
  const whole = own(config, path);
  if (whole !== undefined) return whole;
  const dot = path.indexOf(".");
  return dot < 0 ? undefined : inside(own(config, path.slice(0, dot)), path.slice(dot + 1));
}

/**
 * @param {unknown} value
 * @param {string} name
 */
function own(value, name) {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name) ? /** @type {any} */ (value)[name] : undefined;
}

/** @param {unknown} value */
function present(value) {
  return value === undefined || value === null ? [] : [value];
}

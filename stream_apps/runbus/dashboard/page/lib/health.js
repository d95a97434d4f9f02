/**
 * Reads what heartbeats and the watchdog say: who lives, where consumers are, what was dropped where. Pure.
 */

/** @typedef {import("./channels.js").Row} Row */

/** Two heartbeats in a row that did not come. */
const SILENT_S = 2.2;
/** What was silent for so long is history; who said its end goes sooner. */
const FORGET_S = 600;
const ENDED_S = 15;
const KINDS = ["sink", "episodes", "live-metrics", "watchdog", "dashboard"];

/** @typedef {"ok" | "warn" | "stall" | "stop" | "rewind" | "ended"} Stands the words of docs/watch.md, and `ended` */

/**
 * What is known beside a component's own heartbeat.
 * @typedef {object} Known
 * @property {Row[]} findings of the watchdog
 * @property {Row[]} groups of the watchdog: whose are the findings about a group
 * @property {Set<string>} ended streams that said their end: a recorder that fell silent behind that is not missed
 * @property {Row[]} [others] all components: who was replaced by a later one of its kind is not missed either
 */

/**
 * One component as it stands.
 * @param {Row} row of the channel `components`
 * @param {Known} known
 * @returns {{stands: Stands, why: string[]}}
 */
export function standing(row, {findings, groups, ended, others = []}) {
  const own = new Set([row.component, ...groups.filter((group) => group.kind === row.kind).map((group) => `group ${group.group}`)]);
  const found = findings.filter((finding) => own.has(finding.subject));
  const silent = row.silent_s !== null && row.silent_s >= SILENT_S;
  const over = row.detail?.stopping || (row.kind === "recorder" && Object.keys(row.detail?.streams ?? {}).every((name) => ended.has(name)))
    || (row.kind !== "recorder" && others.some((other) => other.kind === row.kind && other.started_at > row.sent_at));
  if (silent && over) return {stands: "ended", why: []};
  const worst = found.map((finding) => String(finding.state).toLowerCase()).sort(byWeight)[0];
  const why = found.map((finding) => String(finding.text));
  for (const [partition, reason] of Object.entries(row.detail?.paused ?? {})) why.push(`${partition} is paused: ${reason}`);
  if (silent && !found.length) why.push("no heartbeat came");
  const stands = worst ?? (silent ? "stop" : why.length ? "warn" : "ok");
  return {stands: /** @type {Stands} */ (stands), why};
}

const WEIGHTS = ["rewind", "stop", "stall", "warn", "ok", "ended"];
/** @param {string} a @param {string} b */
const byWeight = (a, b) => WEIGHTS.indexOf(a) - WEIGHTS.indexOf(b);

/**
 * The components to show, processes first, and the worst of each kind first.
 * @param {Iterable<Row>} rows
 * @param {Known} known
 */
export function components(rows, known) {
  const others = [...rows];
  const kept = others.map((row) => ({row, ...standing(row, {...known, others})})).filter(({row, stands}) => (row.silent_s ?? Infinity) < (stands === "ended" ? ENDED_S : FORGET_S));
  // ours in their order, then stream apps of users, then recorders
  const order = (/** @type {Row} */ row) => (row.kind === "recorder" ? KINDS.length + 1 : KINDS.includes(row.kind) ? KINDS.indexOf(row.kind) : KINDS.length);
  return kept.sort((a, b) => order(a.row) - order(b.row) || byWeight(a.stands, b.stands) || compare(a.row.component, b.row.component));
}

/**
 * Where each consumer is in each partition: the offset that it reads next, and how many records are behind that.
 * @param {Map<string, Row>} ends `topic:partition` -> {end, below}
 * @param {Iterable<Row>} rows of components
 */
export function cursors(ends, rows) {
  /** @type {Map<string, Record<string, number>>} */
  const next = new Map();
  for (const row of rows) {
    if (!["sink", "episodes", "live-metrics"].includes(row.kind) || row.detail?.stopping) continue;
    for (const [place, offset] of Object.entries(row.next ?? {})) {
      const known = next.get(place) ?? {};
      known[row.kind] = Math.max(known[row.kind] ?? 0, offset);
      next.set(place, known);
    }
  }
  return [...ends].map(([place, {end, below}]) => {
    const at = next.get(place) ?? {};
    const behind = Object.fromEntries(Object.entries(at).map(([kind, offset]) => [kind, Math.max(0, end - offset)]));
    return {place, end, stored: below, behind};
  }).sort((a, b) => compare(a.place, b.place));
}

/**
 * What was dropped or given up since each process began, by its place; nothing that is 0.
 * @param {Iterable<Row>} rows of components
 */
export function drops(rows) {
  /** @type {{place: string, what: string, count: number}[]} */
  const found = [];
  const add = (/** @type {string} */ place, /** @type {string} */ what, /** @type {unknown} */ count) => {
    if (typeof count === "number" && count > 0) found.push({place, what, count});
  };
  for (const row of rows) {
    const {detail} = row;
    if (row.kind === "recorder") add(row.component, "steps that its queue, or its client, had no room for", row.dropped);
    if (row.kind === "sink") add(row.component, "records that retention deleted before they were stored", row.dropped);
    if (!detail) continue;
    for (const [name, stats] of Object.entries(detail.bus ?? {})) {
      if (name !== "kafka") add(row.component, `events for the subscriber ${name}`, /** @type {any} */ (stats)?.dropped_events);
    }
    for (const [what, count] of Object.entries(detail.complaints ?? {})) add(row.component, what, count);
    add(row.component, "results that could not be sent", detail.not_sent);
    add(row.component, "steps of records that could not be used", detail.refused_steps);
    add(row.component, "offsets that were deleted from the log before it read them", detail.skipped_offsets);
  }
  return found.sort((a, b) => b.count - a.count);
}

/** @type {Record<string, number>} */
const ORDER = {false: 0, moving: 1, true: 2};

/**
 * The streams of the audit, the wrong ones first, then what waits; and how many there are of each.
 * @param {Iterable<[string, Row]>} rows of the channel `identity`
 */
export function balances(rows) {
  const streams = [];
  const of = {true: 0, moving: 0, false: 0};
  let about = {more: 0, trouble: ""};
  for (const [key, row] of rows) {
    if (key === "") {
      about = /** @type {any} */ (row);
      continue;
    }
    of[/** @type {"true" | "moving" | "false"} */ (row.state)] += 1;
    streams.push(row);
  }
  const state = (/** @type {Row} */ row) => ORDER[row.state] ?? 0;
  streams.sort((a, b) => state(a) - state(b) || Number(a.ended) - Number(b.ended) || b.attempt - a.attempt || compare(a.agent, b.agent));
  return {streams, of, ...about};
}

/**
 * The names of the streams that said their end.
 * @param {Iterable<[string, Row]>} rows of the channel `identity`
 */
export function endedStreams(rows) {
  return new Set([...rows].filter(([, row]) => row.ended).map(([name]) => name));
}

/**
 * The sign between the two sides, and what it means.
 * @param {Row} row
 */
export function sign(row) {
  if (row.state === "false") {
    const missing = row.missing ? `${row.missing} missing` : "";
    const twice = row.duplicates ? `${row.duplicates} there twice` : "";
    return {sign: "≠", means: [missing, twice].filter(Boolean).join(", "), tone: "bad"};
  }
  if (row.state === "moving") {
    const means = row.to_go ? `${row.to_go} records to go` : row.at === null ? "is counted for the first time" : "is being counted";
    return {sign: "…", means, tone: "warn"};
  }
  return {sign: "=", means: "every step is accounted for", tone: "ok"};
}

/** @param {string} a @param {string} b */
function compare(a, b) {
  return a.localeCompare(b, "en", {numeric: true});
}

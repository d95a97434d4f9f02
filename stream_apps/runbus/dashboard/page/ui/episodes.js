/**
 * Lists the finalised episodes of a run, a page at a time by a cursor, with those on top that came since.
 */
import {html, useComputed, useEffect, useMemo, useSignal} from "../lib/preact.js";
import {ApiError, get} from "../lib/api.js";
import {positions} from "../lib/curve.js";
import {count, exact, moment, number} from "../lib/format.js";
import {expose} from "../lib/inspect.js";
import {go, href, route, set} from "../lib/route.js";
import {keyOf} from "../lib/stitch.js";
import {Panel} from "./panel.js";
import {Table} from "./table.js";

/** @typedef {import("../lib/stitch.js").Row} Row */

const PAGE = 100;
/** The list is asked for anew once so many came on top of it. */
const MOST_FRESH = 2000;

/** The pages that are loaded of one list. */
class Pages {
  /** @param {import("../lib/route.js").Changes} params */
  constructor(params, /** @type {import("../vendor/signals-core.js").Signal<any>} */ loaded) {
    this.params = params;
    this.loaded = loaded;
    this.abort = new AbortController();
    this.next = "";
    this.asking = false;
  }

  /** Load the next page, the first one at first. */
  async more() {
    const known = this.loaded.peek();
    if (this.asking || known.ended) return;
    this.asking = true;
    try {
      const {columns, rows, ...said} = await get("/run/episodes", {...this.params, most: PAGE, after: this.next}, this.abort.signal);
      const names = Object.keys(columns), found = Array.from({length: rows}, (_, i) => Object.fromEntries(names.map((name) => [name, columns[name][i]])));
      this.next = said.next;
      this.loaded.value = {rows: [...known.rows, ...found], ended: !said.next, below: known.below ?? positions(said.fresh.below, "episodes"), error: null};
    } catch (error) {
      if (!this.abort.signal.aborted) this.loaded.value = {...known, ended: true, error};
    }
    this.asking = false;
  }
}

/** @param {{run: string, agent: string, recent: import("../lib/curves.js").RecentEpisodes, onNames: (names: string[]) => void}} props */
export function Episodes({run, agent, recent, onNames}) {
  const loaded = useSignal(/** @type {{rows: Row[], ended: boolean, below: import("../lib/stitch.js").Positions | null, error: any}} */ (NONE));
  const again = useSignal(0), {params} = route.value;
  const sort = params.get("sort") ?? "time", descending = params.get("dir") !== "up";
  const pages = useMemo(() => new Pages({run, agent: agent || undefined, sort, descending: String(descending)}, loaded), [run, agent, sort, descending, again.value]);
  useEffect(() => {
    loaded.value = {...NONE, rows: loaded.peek().rows};
    loaded.value = NONE;
    void pages.more();
    return () => pages.abort.abort();
  }, [pages]);
  const history = useComputed(() => loaded.value);
  useEffect(() => {
    const holder = /** @type {any} */ ({history});
    recent.curves.add(holder);
    return () => void recent.curves.delete(holder);
  }, []);
  const fresh = useComputed(() => freshOf(recent, loaded.value, agent));
  const onTop = sort === "time" && descending;
  useEffect(() => {
    if (fresh.value.length > MOST_FRESH && onTop) again.value += 1;
  }, [fresh.value.length > MOST_FRESH]);
  const rows = useMemo(() => (onTop ? merged(fresh.value, loaded.value.rows) : loaded.value.rows), [fresh.value, loaded.value, onTop]);
  useEffect(() => {
    const names = new Set(loaded.value.rows.slice(0, PAGE).flatMap((row) => Object.keys(row.extras_sum ?? {})));
    onNames([...names].sort());
  }, [loaded.value]);
  useEffect(() => expose("episodes", () => ({rows: rows.length, first: rows[0], ended: loaded.value.ended, fresh: fresh.value.length})));
  const error = loaded.value.error;
  const missed = onTop ? 0 : fresh.value.length;
  return html`<${Panel} title="Episodes" class="wide" source=${{path: "/run/episodes", params: {...pages.params, most: 1000}}}
    fresh=${error && {stale: true, why: error instanceof ApiError ? error.message : String(error)}}
    tools=${missed > 0 && html`<button type="button" onClick=${() => (again.value += 1)}>${count(missed)} newer: load</button>`}>
    ${rows.length ? html`<${Table} label="Episodes" rows=${rows} columns=${COLUMNS(run)} keyOf=${keyOf} sort=${sort} descending=${descending} view=${15}
        onSort=${(/** @type {string} */ name, /** @type {boolean} */ down) => set({sort: name === "time" ? null : name, dir: down ? null : "up"}, {replace: true})}
        onOpen=${(/** @type {Row} */ row) => go("/episode", idOf(run, row))} more=${() => pages.more()} ended=${loaded.value.ended} />`
      : html`<p class="none">${error ? "The list does not come: ClickHouse does not answer." : loaded.value.below ? "No episode has ended yet. One is finalised when it is over, or its stream is." : "Asking …"}</p>`}
  </${Panel}>`;
}

/** @type {{rows: Row[], ended: boolean, below: null, error: null}} */
const NONE = {rows: [], ended: false, below: null, error: null};

/** @param {string} run @param {Row} row */
const idOf = (run, {agent, attempt, env, episode}) => ({run, agent, attempt, env, episode});

/**
 * What came live and is not in the list, the newest first.
 * @param {import("../lib/curves.js").RecentEpisodes} recent
 * @param {{below: import("../lib/stitch.js").Positions | null, error: any}} list
 * @param {string} agent
 * @returns {Row[]}
 */
function freshOf(recent, {below, error}, agent) {
  void recent.version.value;
  if (!below && !error) return [];
  const found = [];
  for (const records of recent.store.rows.values()) {
    const row = records.reduce((a, b) => (b.revision >= a.revision ? b : a));
    if ((!agent || row.agent === agent) && row.o >= (below ? below[row.p] ?? Infinity : 0)) found.push(row);
  }
  return found.sort((a, b) => b.last_ts - a.last_ts);
}

/** A later revision takes the place of what is in the list. @param {Row[]} fresh @param {Row[]} rows */
function merged(fresh, rows) {
  const known = new Set(fresh.map(keyOf));
  return [...fresh, ...rows.filter((row) => !known.has(keyOf(row)))];
}

const COLUMNS = (/** @type {string} */ run) => [
  {name: "Episode", sort: "episode", cell: (/** @type {Row} */ row) => html`<a href=${href("/episode", idOf(run, row))}>${exact(row.episode)}</a>${row.env ? html` <span class="unit">env ${row.env}</span>` : null}`},
  {name: "Agent", cell: (/** @type {Row} */ row) => row.agent},
  {name: "Return", sort: "return", num: true, cell: (/** @type {Row} */ row) => (row.return === null ? "not finite" : number(row.return))},
  {name: "Length", sort: "length", num: true, cell: (/** @type {Row} */ row) => html`${exact(row.length)} <span class="unit">steps</span>`},
  {name: "End", wide: true, cell: (/** @type {Row} */ row) => html`${row.length ? row.reason : "only its reset"}${row.stop ? html` <span class="unit">${row.stop}</span>` : null}`},
  {name: "Missing", sort: "missing", num: true, wide: true, cell: (/** @type {Row} */ row) => gaps(row)},
  {name: "Ended", sort: "time", num: true, cell: (/** @type {Row} */ row) => moment(row.last_ts)},
];

/** @param {Row} row */
function gaps(row) {
  const missing = row.missing ?? row.missing_at_most ?? 0;
  if (row.complete) return html`<span class="muted">0</span>`;
  return html`<span class="warn" title=${`revision ${row.revision}: steps of it may be missing`}>${missing ? `≤ ${exact(missing)}` : "incomplete"}</span>`;
}

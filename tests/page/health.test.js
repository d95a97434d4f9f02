/** What heartbeats and the watchdog say, as the page of health shows it. */
import {test} from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import {balances, components, cursors, drops, endedStreams, sign, standing} from "../../stream_apps/runbus/dashboard/page/lib/health.js";

/** @param {Record<string, any>} more */
const row = (more) => ({component: "sink-a-1", kind: "sink", silent_s: 0.4, dropped: 0, detail: {}, ...more});
/** @type {Set<string>} */
const NOBODY = new Set();
const NONE = {findings: [], groups: [], ended: NOBODY};
/** @param {Record<string, any>} some */
const known = (some) => ({...NONE, ...some});
const finding = (/** @type {string} */ subject, /** @type {string} */ state) => ({subject, state, text: `is ${state}`, todo: ""});

test("a component stands as the watchdog says, the worst first", () => {
  assert.deepEqual(standing(row({}), NONE), {stands: "ok", why: []});
  const found = standing(row({}), known({findings: [finding("sink-a-1", "WARN"), finding("sink-a-1", "STOP"), finding("other", "REWIND")]}));
  assert.deepEqual(found, {stands: "stop", why: ["is WARN", "is STOP"]});
});

test("silence is an end if the end was said, and else a stop, also before the watchdog says it", () => {
  assert.equal(standing(row({silent_s: 3}), NONE).stands, "stop");
  assert.equal(standing(row({silent_s: 3, detail: {stopping: true}}), NONE).stands, "ended");
  const recorder = {component: "recorder-a-2", kind: "recorder", silent_s: 3};
  assert.equal(standing(row({...recorder, detail: {streams: {}}}), NONE).stands, "ended");
  const writing = row({...recorder, detail: {streams: {"r/a/1": {}}}});
  assert.equal(standing(writing, NONE).stands, "stop");
  assert.equal(standing(writing, known({ended: endedStreams([["r/a/1", {ended: true}], ["r/a/2", {ended: false}]])})).stands, "ended");
});

test("what is wrong with a group is wrong with its processes", () => {
  const groups = [{group: "runbus.sink", kind: "sink"}];
  const found = standing(row({}), known({findings: [finding("group runbus.sink", "STALL")], groups}));
  assert.deepEqual(found, {stands: "stall", why: ["is STALL"]});
  assert.equal(standing(row({kind: "episodes"}), known({findings: [finding("group runbus.sink", "STALL")], groups})).stands, "ok");
});

test("a process that another one of its kind replaced is not missed", () => {
  const killed = row({component: "sink-a-1", silent_s: 9, sent_at: 100, started_at: 1});
  const next = row({component: "sink-a-2", sent_at: 300, started_at: 200});
  assert.deepEqual(components([killed, next], NONE).map(({row: {component}, stands}) => [component, stands]), [["sink-a-2", "ok"], ["sink-a-1", "ended"]]);
  assert.deepEqual(components([killed, {...next, started_at: 50}], NONE).map(({stands}) => stands), ["stop", "ok"]);
});

test("a partition that is paused is a warning with its reason", () => {
  assert.deepEqual(standing(row({detail: {paused: {"runbus.steps:1": "refused: no table"}}}), NONE),
    {stands: "warn", why: ["runbus.steps:1 is paused: refused: no table"]});
});

test("processes come first, in the order of the way of a step, and what is history is left out", () => {
  const rows = [
    row({component: "recorder-a-9", kind: "recorder", detail: {streams: {"r/a/1": {}}}}),
    row({component: "mine-1", kind: "success-rate"}),
    row({component: "watchdog-1", kind: "watchdog"}),
    row({component: "sink-a-1"}),
    row({component: "sink-gone", silent_s: 20, detail: {stopping: true}}),
    row({component: "sink-lost", silent_s: 700}),
    row({component: "never", silent_s: null}),
  ];
  assert.deepEqual(components(rows, NONE).map(({row: {component}}) => component), ["sink-a-1", "watchdog-1", "mine-1", "recorder-a-9"]);
});

test("each consumer is behind the end of the log by what it has not read", () => {
  const ends = new Map([["runbus.steps:10", {end: 100, below: 90}], ["runbus.steps:2", {end: 5, below: 5}]]);
  const rows = [
    row({next: {"runbus.steps:10": 95, "runbus.steps:2": 5}}),
    row({component: "sink-old", next: {"runbus.steps:10": 40}}),
    row({component: "sink-ends", detail: {stopping: true}, next: {"runbus.steps:10": 99}}),
    row({component: "episodes-1", kind: "episodes", next: {"runbus.steps:10": 100}}),
  ];
  assert.deepEqual(cursors(ends, rows), [
    {place: "runbus.steps:2", end: 5, stored: 5, behind: {sink: 0}},
    {place: "runbus.steps:10", end: 100, stored: 90, behind: {sink: 5, episodes: 0}},
  ]);
});

test("drops are named by their place, the most first, and what is 0 is left out", () => {
  const rows = [
    row({component: "recorder-1", kind: "recorder", dropped: 7, detail: {bus: {kafka: {dropped_events: 7}, screen: {dropped_events: 3}}, complaints: {"left out observation": 9}}}),
    row({component: "live-1", kind: "live-metrics", detail: {not_sent: 2, refused_steps: 0}}),
    row({}),
  ];
  assert.deepEqual(drops(rows).map(({place, count}) => [place, count]), [["recorder-1", 9], ["recorder-1", 7], ["recorder-1", 3], ["live-1", 2]]);
});

const stream = (/** @type {any} */ more) => ({run: "r", agent: "a", attempt: 1, state: "true", ended: false, missing: 0, duplicates: 0, to_go: 0, at: 5, ...more});

test("the wrong streams stand first, and each is counted", () => {
  const rows = /** @type {[string, any][]} */ ([
    ["", {more: 4, trouble: "Kafka is away"}],
    ["1", stream({attempt: 1})],
    ["2", stream({attempt: 2, state: "moving"})],
    ["3", stream({attempt: 3, state: "false"})],
    ["4", stream({attempt: 4, ended: true})],
  ]);
  const found = balances(rows);
  assert.deepEqual(found.streams.map(({attempt}) => attempt), [3, 2, 1, 4]);
  assert.deepEqual({of: found.of, more: found.more, trouble: found.trouble}, {of: {true: 2, moving: 1, false: 1}, more: 4, trouble: "Kafka is away"});
});

test("the sign says what it means", () => {
  assert.equal(sign(stream({})).sign, "=");
  assert.deepEqual(sign(stream({state: "moving", to_go: 12})), {sign: "…", means: "12 records to go", tone: "warn"});
  assert.equal(sign(stream({state: "moving", at: null})).means, "is counted for the first time");
  assert.equal(sign(stream({state: "false", missing: 3, duplicates: 1})).means, "3 missing, 1 there twice");
});

test("nothing that a heartbeat may say breaks the page", () => {
  const any = fc.record({component: fc.string(), kind: fc.string(), silent_s: fc.option(fc.double({noNaN: true})), dropped: fc.nat(), detail: fc.object(), next: fc.dictionary(fc.string(), fc.nat())});
  fc.assert(fc.property(fc.array(any), (rows) => {
    assert.ok(components(rows, NONE).length <= rows.length);
    assert.ok(drops(rows).every(({count}) => count > 0));
    cursors(new Map([["t:0", {end: 3, below: 1}]]), rows);
  }));
});

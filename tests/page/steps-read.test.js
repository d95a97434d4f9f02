// Steps read from history and from the live channel: the same step is the same.
import assert from "node:assert/strict";
import {test} from "node:test";
import {differences} from "../../stream_apps/runbus/dashboard/page/lib/diff.js";
import {pageSize, stepOf, stepsOf} from "../../stream_apps/runbus/dashboard/page/lib/steps.js";

const utf8 = (/** @type {string} */ text) => new TextEncoder().encode(text);

test("a step of the history equals the same step of the live channel", () => {
  const columns = {
    seq: [0, 1],
    step: [0, 1],
    tick: [-1, 4],
    ts: [5, 6],
    reward: [0, NaN],
    terminated: [0, 1],
    truncated: [0, 0],
    kind: ["", "model"],
    status: ["", "ok"],
    parent: [-1, 0],
    extras: [{}, {x: 1}],
    action_layout: [0, 0],
    observation_layout: [0, 1],
    action: [new Uint8Array(), utf8('{"tool":"x"}')],
    observation: [new Uint8Array([1, 2]), new Uint8Array([0, 0, 0, 64])],
  };
  const layouts = {
    action: [{dtype: "json", shape: []}],
    observation: [
      {dtype: "|u1", shape: [1, 2]},
      {dtype: "<f4", shape: []},
    ],
  };
  const history = stepsOf({rows: 2, columns, layouts});
  const live = [
    {
      seq: 0,
      step: 0,
      tick: -1,
      ts: 5,
      reward: 0,
      terminated: false,
      truncated: false,
      parent: -1,
      action: null,
      observation: {dtype: "|u1", shape: [1, 2], base64: "AQI="},
    },
    {
      seq: 1,
      step: 1,
      tick: 4,
      ts: 6,
      reward: null,
      terminated: true,
      truncated: false,
      kind: "model",
      status: "ok",
      parent: 0,
      extras: {x: 1},
      action: {dtype: "json", text: '{"tool":"x"}'},
      observation: {dtype: "<f4", shape: [], data: [2]},
    },
  ].map(stepOf);
  history.forEach((step, i) => {
    assert.deepEqual(differences(step, live[i]), []);
    assert.deepEqual({...step, action: 0, observation: 0}, {...live[i], action: 0, observation: 0});
  });
  assert.equal(history[0].action.dtype, "", "a reset has no action");
});

test("parts of a struct have the same names, live and stored", () => {
  const row = {
    seq: 0,
    step: 1,
    ts: 0,
    reward: 0,
    observation: {
      dtype: "struct",
      parts: {
        pose: {dtype: "<f4", shape: [2], data: [1, 2]},
        pair: {dtype: "struct", parts: [{dtype: "text", text: "a"}]},
      },
    },
  };
  assert.deepEqual(
    stepOf(row).observation.parts?.map((part) => part.name),
    ["pose", "pair[0]"],
  );
});

test("a page of steps is about a megabyte, whatever is observed", () => {
  assert.equal(pageSize([{dtype: "<f4", shape: [4]}]), 512);
  assert.equal(pageSize([{dtype: "|u1", shape: [84, 84, 3]}]), 32);
  assert.equal(pageSize([{dtype: "omitted:|u1", shape: [84, 84, 3]}]), 512);
  assert.equal(pageSize([]), 512);
});

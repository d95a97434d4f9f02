// Turns, tree and costs of a transcript, and the messages in its steps.
import assert from "node:assert/strict";
import {test} from "node:test";
import fc from "fast-check";
import * as transcript from "../../stream_apps/runbus/dashboard/page/lib/transcript.js";

/** @typedef {transcript.Entry} Entry */
/** @param {number} seq @param {Partial<Entry>} [rest] @returns {Entry} */
const entry = (seq, rest = {}) => ({
  seq,
  step: seq,
  ts: seq * 1_000_000,
  kind: "model",
  status: "ok",
  parent: -1,
  reward: 0,
  input: 0,
  output: 0,
  cached: 0,
  cost: 0,
  duration: 0,
  ...rest,
});

/** @param {Entry[]} entries */
function outlineOf(entries) {
  const outline = new transcript.Outline();
  outline.append(entries);
  return outline;
}

test("tool steps belong to the turn that called them, also when another turn lies between", () => {
  const outline = outlineOf([
    entry(0),
    entry(1),
    entry(2, {kind: "tool", parent: 1}),
    entry(3),
    entry(4, {kind: "tool", parent: 1, status: "error"}),
    entry(5, {kind: "tool"}),
  ]);
  assert.deepEqual(
    outline.turns.map((turn) => turn.entries),
    [[0], [1, 2, 4], [3, 5]],
  );
  assert.deepEqual([outline.turns[1].totals.tools, outline.turns[1].totals.errors], [2, 1]);
  assert.equal(outline.turnAt(4), 1);
  assert.equal(outline.turnAt(99), 2);
});

const anyEntries = fc
  .array(
    fc.record({
      kind: fc.constantFrom("", "model", "tool", "agent"),
      parent: fc.integer({min: -1, max: 60}),
      input: fc.nat(1000),
      status: fc.constantFrom("ok", "error"),
    }),
    {maxLength: 60},
  )
  .map((rows) => rows.map((row, seq) => entry(seq, row)));

test("every step is in one turn and once in the tree; totals of turns and of roots are those of the episode", () => {
  fc.assert(
    fc.property(anyEntries, (entries) => {
      const outline = outlineOf(entries);
      const everything = entries.map((_, place) => place);
      assert.deepEqual(
        outline.turns.flatMap((turn) => turn.entries).sort((a, b) => a - b),
        everything,
      );
      assert.equal(
        outline.turns.reduce((sum, turn) => sum + turn.totals.input, 0),
        outline.totals.input,
      );
      const tree = transcript.treeOf(outline.entries, outline.places);
      assert.deepEqual(
        transcript.shown(tree, new Set()).sort((a, b) => a - b),
        everything,
      );
      assert.equal(
        tree.roots.reduce((sum, root) => sum + tree.totals[root].errors, 0),
        outline.totals.errors,
      );
      assert.deepEqual(transcript.shown(tree, new Set(everything)), tree.roots);
    }),
  );
});

test("a talk is a flat list of turns with their tools below; what one step caused several times is below it", () => {
  const kinds = ["", "model", "tool", "tool", "model", "model", "agent", "agent", "model"];
  const parents = [-1, 0, 1, 2, 3, 4, 5, 5, 7];
  const outline = outlineOf(kinds.map((kind, seq) => entry(seq, {kind, parent: parents[seq]})));
  const tree = transcript.treeOf(outline.entries, outline.places);
  assert.deepEqual(tree.roots, [0, 1, 4, 5]);
  assert.deepEqual(tree.children[1], [2]);
  assert.deepEqual(tree.children[2], [3]);
  assert.deepEqual(tree.children[5], [6, 7, 8]);
  assert.equal(tree.totals[1].tools, 2);
});

test("a step that comes twice, live and from history, counts once, and growing equals building at once", () => {
  fc.assert(
    fc.property(anyEntries, fc.nat(60), (entries, cutAt) => {
      const grown = new transcript.Outline();
      grown.append(entries.slice(0, cutAt));
      grown.append(entries.slice(Math.max(0, cutAt - 5)));
      assert.deepEqual(grown.turns, outlineOf(entries).turns);
      assert.deepEqual(grown.totals, outlineOf(entries).totals);
    }),
  );
});

test("70,000 steps are an outline and a tree in well under a second", () => {
  const entries = Array.from({length: 70_000}, (_, seq) =>
    entry(seq, {kind: seq % 3 === 2 ? "tool" : "model", parent: seq - 1}),
  );
  const outline = outlineOf(entries);
  assert.equal(transcript.shown(transcript.treeOf(outline.entries, outline.places), new Set()).length, 70_000);
});

test("a step ran for its duration, or since the step before", () => {
  assert.deepEqual(transcript.spans([entry(1), entry(2), entry(4, {duration: 500})]), [
    {from: 1_000_000, to: 1_000_000},
    {from: 1_000_000, to: 2_000_000},
    {from: 3_500_000, to: 4_000_000},
  ]);
});

const json = (/** @type {unknown} */ data) => ({dtype: "json", text: JSON.stringify(data)});

test("messages are read from text, chat messages, parts and tool calls of both usual forms", () => {
  assert.deepEqual(
    transcript.messages({dtype: "text", text: "hi"}).map((found) => found.text),
    ["hi"],
  );
  const [user, assistant] = transcript.messages(
    json([
      {
        role: "user",
        content: [
          {type: "text", text: "Look"},
          {type: "image", source: {}},
        ],
      },
      {
        role: "assistant",
        content: null,
        reasoning: "hm",
        tool_calls: [{id: "c1", function: {name: "search", arguments: '{"q":1}'}}],
      },
    ]),
  );
  assert.deepEqual([user.role, user.text, user.other], ["user", "Look", ["image"]]);
  assert.deepEqual([assistant.reasoning, assistant.calls], ["hm", [{name: "search", input: '{"q":1}', id: "c1"}]]);
  const [parts] = transcript.messages(
    json({
      role: "assistant",
      content: [
        {type: "thinking", thinking: "so"},
        {type: "tool_use", id: "t", name: "run", input: {x: 1}},
      ],
    }),
  );
  assert.deepEqual([parts.reasoning, parts.calls[0].name, JSON.parse(parts.calls[0].input)], ["so", "run", {x: 1}]);
  const [alone] = transcript.messages(json({tool: "search", query: "flights"}));
  assert.deepEqual([alone.calls[0].name, JSON.parse(alone.calls[0].input)], ["search", {query: "flights"}]);
});

test("whatever JSON comes, its messages are text and nothing is thrown", () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      for (const found of transcript.messages({dtype: "json", text})) {
        for (const part of [
          found.text,
          found.role,
          found.reasoning,
          ...found.other,
          ...found.calls.map((call) => call.name + call.input),
        ])
          assert.equal(typeof part, "string");
      }
    }),
  );
});

test("marking a word cuts a text without changing it", () => {
  fc.assert(
    fc.property(fc.string({unit: "binary"}), fc.string({maxLength: 3}), (text, word) => {
      assert.equal(
        transcript
          .cut(text, word)
          .map((part) => part.text)
          .join(""),
        text,
      );
    }),
  );
  assert.deepEqual(
    transcript
      .cut("An apple, an APPLE", "apple")
      .filter((part) => part.found)
      .map((part) => part.text),
    ["apple", "APPLE"],
  );
});

// What an observation is to look at, and the pixels it becomes.
import assert from "node:assert/strict";
import {test} from "node:test";
import fc from "fast-check";
import * as observation from "../../stream_apps/runbus/dashboard/page/lib/observation.js";
import {isNumber} from "../../stream_apps/runbus/dashboard/page/lib/spread.js";

/** @type {[string, number[], observation.Look][]} */
const LOOKS = [
  ["", [], "none"],
  ["text", [], "text"],
  ["json", [], "json"],
  ["omitted:|u1", [84, 84, 3], "omitted"],
  ["absent:<f4", [4], "absent"],
  ['struct:["dict",[]]', [], "other"],
  ["<i8", [], "scalar"],
  ["<f4", [1], "scalar"],
  ["<f4", [4], "vector"],
  ["<f4", [3, 2, 2], "vector"],
  ["|i1", [8, 8], "grid"],
  ["|u1", [5, 7], "grid"],
  ["|u1", [84, 84], "image"],
  ["|u1", [84, 84, 3], "image"],
  ["|u1", [64, 64, 1], "image"],
  ["|u1", [4, 84, 84], "image"],
  ["<f4", [3, 64, 64], "image"],
];
for (const [dtype, shape, look] of LOOKS) {
  test(`${dtype || "nothing"} [${shape}] is shown as ${look}`, () =>
    assert.equal(observation.lookOf({dtype, shape}), look));
}

test("a layout is said in words", () => {
  assert.equal(observation.layoutText({dtype: "<f4", shape: [4]}), "float32 [4]");
  assert.equal(observation.layoutText({dtype: "omitted:|u1", shape: [84, 84, 3]}), "omitted uint8 [84, 84, 3]");
  assert.equal(observation.layoutText({dtype: "|b1", shape: []}), "bool");
});

test("colours first or last, grey, or a stack of frames: each byte lands in its pixel", () => {
  const last = observation.pixels([10, 20, 30, 40, 50, 60], "|u1", [1, 2, 3]);
  assert.deepEqual([...(last?.data ?? [])], [10, 20, 30, 255, 40, 50, 60, 255]);
  const planes = Array.from({length: 3 * 16 * 16}, (_, i) => Math.floor(i / 256) * 10);
  assert.deepEqual([...(observation.pixels(planes, "|u1", [3, 16, 16])?.data.slice(0, 4) ?? [])], [0, 10, 20, 255]);
  const stack = observation.pixels(
    Array.from({length: 4 * 256}, (_, i) => Math.floor(i / 256)),
    "|u1",
    [4, 16, 16],
  );
  assert.deepEqual([stack?.width, stack?.height, stack?.data[16 * 4], stack?.data[48 * 4]], [64, 16, 1, 3]);
  assert.equal(observation.pixels([1, 2], "|u1", [2, 2]), null, "numbers that do not fill the shape are no image");
});

test("numbers that are no bytes are spread over black to white, and what is no number shows", () => {
  const data = observation.pixels([-1, 0, 1, null], "<f4", [2, 2])?.data ?? [];
  assert.deepEqual([data[0], data[4], data[8]], [0, 128, 255]);
  assert.deepEqual([...data.slice(12)], [255, 0, 255, 255]);
});

test("cells of the heat strip are shares of their own row, and no number is no cell", () => {
  const numbers = fc.option(fc.double({min: -1e6, max: 1e6, noNaN: true}), {nil: null});
  fc.assert(
    fc.property(fc.array(fc.option(fc.array(numbers, {maxLength: 6}), {nil: null})), (columns) => {
      const strip = observation.heat(columns);
      columns.forEach((column, place) => {
        for (let row = 0; row < strip.rows; row++) {
          const [x, cell] = [column?.[row], strip.cells[row * columns.length + place]];
          assert.equal(!isNumber(x), Number.isNaN(cell));
          if (isNumber(x))
            assert.ok(cell >= 0 && cell <= 1 && x >= strip.ranges[row].low && x <= strip.ranges[row].high);
        }
      });
    }),
  );
});

test("discrete actions lie in lanes with the names that the run gives them", () => {
  const action = (/** @type {number} */ number) => ({dtype: "<i8", shape: [], numbers: [number]});
  const names = observation.actionNames({action_names: ["left", "right", "jump"]});
  assert.deepEqual(observation.actionLanes([action(1), null, action(0)], names), {
    labels: ["left", "right", "jump"],
    lane: [1, null, 0],
  });
  assert.deepEqual(observation.actionLanes([action(7), action(3)], []), {labels: ["3", "7"], lane: [1, 0]});
  assert.equal(observation.actionLanes([{dtype: "<f4", shape: [2], numbers: [0, 1]}], []), null);
});

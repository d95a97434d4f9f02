// Any list of names survives the address.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { joined, parted } from "../../stream_apps/runbus/dashboard/page/lib/names.js";

test("a list of names is read as it was written", () => {
  fc.assert(fc.property(fc.array(fc.oneof(fc.string({ minLength: 1 }), fc.constantFrom(",", "%", "%2C", "a,b", "%25"))), (names) => {
    assert.deepEqual(parted(joined(names)), names);
    assert.notEqual(joined(names), "");
  }));
  assert.deepEqual([parted(null), parted("loss,100%"), parted(",,")], [[], ["loss", "100%"], []]);
});

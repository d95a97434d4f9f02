"""StepBatch bodies: good ones of every layout, and the same with a lie in them or with damage. All from one seed."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np

from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.batch import NO_SEED, BatchHeader, Extra, Label, StepBatch, StepColumns, encode
from runbus.schemas.layout import NONE, VARIABLE, Layout, Omitted, encode_value, layout_of, pack
from runbus.schemas.record import read_record, write_record
from runbus.schemas.walk import zigzag
from tests.fuzz.damage import NUMBERS, TEXTS, blocks, damaged, text

STEP_BATCH = schema("StepBatch")
_LATER: tuple[dict[str, Any], ...] = (
    {"name": "note", "type": "string", "default": ""},
    {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []},
    {"name": "policy_version", "type": "long", "default": 0},
    {"name": "frozen", "type": "boolean", "default": False},
)
#: the schema of a later release: fields that this one passes over
LATER = AvroSchema.from_json(json.dumps({**json.loads(STEP_BATCH.text), "fields": [*STEP_BATCH.fields, *_LATER]}))
#: stands for ragged arrays, of which each has another length
RAGGED = object()
_PAIR = {"position": np.zeros(2, np.float32), "goal": "door"}
#: one value of each kind of layout; None = the stream has none
VALUES: tuple[Any, ...] = (
    *(None, 7, 0.5, True, "text", "", {"tool": "search", "n": 3}, [1, "a"]),
    *(np.zeros(2, np.float32), np.ones((2, 3), np.uint8), np.zeros((0, 3)), np.float16(1), np.arange(3)),
    *(RAGGED, _PAIR, (np.zeros(2, np.float16), True), {"a": {"b": (np.int8(1), None)}}, (np.zeros(0), np.zeros(1))),
    *({"image": Omitted("|u1", (8, 8, 3)), "said": "x"}, (Omitted("<f8", (2,)), np.float32(1))),
)
DTYPES = (
    *("", "text", "json", "<f4", "<f8", "|u1", "|b1", "<i8", ">f4", "|S1", "<c8", "text ", "STRUCT:", "\0", "ä", "f4"),
    *("omitted:", "omitted:<f4", "omitted:text", "omitted:omitted:<f4", "omitted:4i8", 'omitted:struct:["tuple",[]]'),
    *("struct:", "struct:[]", "struct:null", 'struct:["tuple",[]]', 'struct:["tuple",[["<f4",[]]]]', "omitted:struct:"),
    *('struct: ["tuple", [["<f4", [2]]]]', 'struct:["dict",[["a",["text",[]]]]]', 'struct:["<f4",[]]'),
    *('struct:["dict",[["a",["<f4",[]]],["a",["<f4",[]]]]]', 'struct:["tuple",[["<f4",[1.0]]]]'),
    *('struct:["tuple",[["omitted:<f4",[2]]]]', 'struct:["tuple",[["omitted:what",[]]]]'),
)
SHAPES: tuple[list[int], ...] = (
    *([], [0], [1], [2], [3], [-1], [2, 3], [3, 2], [0, -1], [1] * 64, [1] * 65, [65_536] * 4, [2**31 - 1] * 3),
    *([-1, 2], [-1, 0], [-1, -1], [-1, *[2**31 - 1] * 3], [2, -1], [-2]),
    *([2**31 - 1, 2**31 - 1, 4], [0, *[2**31 - 1] * 40], [2**31], [2**63 - 1]),
)


class Batches:
    """A source of StepBatch bodies.

    Args:
        seed: the same seed gives the same bodies.
    """

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def good(self) -> StepBatch:
        """Return a batch of one to five steps."""
        dice, count = self.dice, self.dice.randint(1, 5)
        seq = np.arange(count)
        columns = StepColumns(
            env=(seq % 2).astype("<i4"),
            episode=(seq // 3).astype("<i8"),
            step=(seq % 3).astype("<i4"),
            ts=(1_790_000_000_000_000 + seq * 1000).astype("<i8"),
            reward=np.array([dice.choice([0.0, -0.0, 1.5, np.nan, -np.inf]) for _ in seq], "<f8"),
            terminated=(seq % 3 == 2).astype("u1"),
            truncated=np.zeros(count, "u1"),
            tick=(seq + 5).astype("<i8") if dice.random() < 0.5 else None,
            seed=np.where(seq == 0, 42, NO_SEED).astype("<i8") if dice.random() < 0.5 else None,
            absent=np.array([dice.randrange(4) for _ in seq], "|u1") if dice.random() < 0.3 else None,
            kind=np.array([dice.randrange(8) for _ in seq], "|u1") if dice.random() < 0.3 else None,
            status=np.array([dice.randrange(7) for _ in seq], "|u1") if dice.random() < 0.3 else None,
            parent=(seq - 1).astype("<i8") if dice.random() < 0.3 else None,
        )
        (action, actions), (observation, observations) = self._values(count), self._values(count)
        ids = dice.choice([("run", "agent"), ("run-é", "агент"), ("r", "a")])
        longs = (dice.choice([1, 2**40]), dice.choice([0, 5, 2**40]), count, dice.choice([0, 3]), 1_790_000_000_000_000)
        info = [dice.choice(["", "{}", '{"a":"ü"}']) for _ in seq] if dice.random() < 0.4 else []
        header = BatchHeader(*ids, *longs, action, observation)
        seeds = [dice.choice(["", "-5", "0x1f", str(2**128)]) for _ in seq] if dice.random() < 0.3 else []
        stop = [dice.choice(["", "max_turns", "ä"]) for _ in seq] if dice.random() < 0.3 else []
        texts = (tuple(info), tuple(seeds), self._labels(count), tuple(stop))
        return StepBatch(header, columns, actions, observations, self._extras(count), *texts)

    def _values(self, count: int) -> tuple[Layout, bytes]:
        """Return a layout and a column of `count` values, the first of them like that of a reset."""
        value = self.dice.choice(VALUES)
        if value is RAGGED:
            ragged = self.dice.choice([Layout("<i8", (VARIABLE,), VARIABLE), Layout("<f4", (VARIABLE, 2), VARIABLE)])
            return ragged, pack(ragged, [bytes(range(8)) * self.dice.randrange(4) for _ in range(count)])
        layout = NONE if value is None else layout_of(value)
        if self.dice.random() < 0.1:
            return layout.omitted(), b""
        raw = b"" if value is None else encode_value(layout, value)
        return layout, pack(layout, [b"", *[raw] * (count - 1)])

    def _extras(self, count: int) -> tuple[Extra, ...]:
        extras = []
        for name in self.dice.sample(["loss", "entropy", "", "ä"], self.dice.randint(0, 3)):
            rows = np.array(sorted(self.dice.choices(range(count), k=self.dice.randint(0, count))), "<u4")
            extras.append(Extra(name, rows, np.array([self.dice.random() for _ in rows], "<f8")))
        return tuple(extras)

    def _labels(self, count: int) -> tuple[Label, ...]:
        labels = []
        for name in self.dice.sample(["task", "split", "", "ä"], self.dice.choice([0, 0, 1, 3])):
            rows = sorted(self.dice.sample(range(count), self.dice.randint(0, count)))
            texts = tuple(self.dice.choice(["", "train", "größe"]) for _ in rows)
            labels.append(Label(name, np.array(rows, "<u4"), texts))
        return tuple(labels)

    def body(self) -> bytes:
        """Return the body of a good batch."""
        return encode(self.good())

    def mutated(self) -> bytes:
        """Return a body with a lie, with damage, or written in another way than ours; it may still be a good one."""
        how = self.dice.random()
        if how < 0.4:
            return self.lying()
        if how < 0.5:
            return self.reblocked()
        body = self.lying() if how < 0.6 else self.reblocked() if how < 0.65 else self.body()
        for _ in range(1 if self.dice.random() < 0.8 else 2):
            body = damaged(self.dice, body, self.body)
        return body

    def later(self) -> bytes:
        """Return a body as a later release writes it (schema LATER), often with damage."""
        tags = blocks(self.dice, [text(b"x" * self.dice.randrange(3)) for _ in range(self.dice.randrange(4))])
        body = self.body() + text(b"note") + tags + zigzag(self.dice.choice(NUMBERS)) + self.dice.choice([b"\0", b"\1"])
        return damaged(self.dice, body, self.body) if self.dice.random() < 0.7 else body

    def reblocked(self) -> bytes:
        """Return a good batch whose arrays are in several blocks, as other writers of Avro have it."""
        record, out = read_record(self.body(), STEP_BATCH, STEP_BATCH), b""
        for field in STEP_BATCH.fields:
            value = record[field["name"]]
            if isinstance(value, int):
                out += zigzag(value)
            elif isinstance(value, (str, bytes)):
                out += text(value.encode() if isinstance(value, str) else value)
            else:
                out += blocks(self.dice, [_item(self.dice, item) for item in value])
        return out

    def lying(self) -> bytes:
        """Return a well-formed record of which one to three fields are others."""
        record = read_record(self.body(), STEP_BATCH, STEP_BATCH)
        for _ in range(self.dice.choice([1, 1, 1, 2, 3])):
            name = self.dice.choice(list(record))
            record[name] = self._lie(name, record[name], record["count"])
        try:
            return write_record(STEP_BATCH, record)
        except InvalidValue:  # an int that Avro cannot write: the next one
            return self.lying()

    def _lie(self, name: str, value: Any, count: int) -> Any:
        dice = self.dice
        if isinstance(value, int):
            return dice.choice([dice.choice(NUMBERS), value + 1, value - 1, -value])
        if isinstance(value, bytes):
            return self._column(value)
        if name in ("info", "large_seeds", "stop"):
            return dice.choice([[*value, ""], value[:-1], [""] * (count % 7), ["\0"] * 3, ["1 "] * (count % 7), []])
        if name == "extras":
            return self._lying_extras([dict(extra) for extra in value])
        if name == "labels":
            return self._lying_labels([dict(label) for label in value])
        if name.endswith("_shape"):
            return dice.choice([*SHAPES, [*value, 1]])
        return dice.choice(DTYPES if name.endswith("_dtype") else TEXTS)

    def _column(self, column: bytes) -> bytes:
        dice = self.dice
        extreme = dice.choice(NUMBERS) & 2**64 - 1
        return dice.choice(
            [
                *(column[:-1], column + b"\0", b"", column + column, column + bytes(8), dice.randbytes(len(column))),
                extreme.to_bytes(8, "little")[: len(column)] + column[8:],
                damaged(dice, column, lambda: bytes(4)),
            ]
        )

    def _lying_extras(self, extras: list[dict[str, Any]]) -> list[dict[str, Any]]:
        dice = self.dice
        extras = extras or [{"name": "q", "rows": bytes(4), "values": bytes(8)}]
        one = dice.choice(extras)
        rows, values = one["rows"], one["values"]
        others: tuple[tuple[bytes, bytes], ...] = (
            *((b"", values), (rows[:-1], values), (rows + bytes(4), values + bytes(8)), (rows[::-1], values)),
            *((rows, values[:-1]), (rows, values + bytes(8)), (rows + b"\xff" * 4, values + bytes(8)), (b"", b"")),
            *((np.array(sorted(dice.sample(range(8), 2)), "<u4").tobytes(), bytes(16)), (b"\xff" * 4, bytes(8))),
        )
        match dice.randrange(4):
            case 0:
                return [*extras, dict(one)]
            case 1:
                one["name"] = dice.choice(["loss", "", "ä", "\0"])
            case _:
                one["rows"], one["values"] = dice.choice(others)
        return extras

    def _lying_labels(self, labels: list[dict[str, Any]]) -> list[dict[str, Any]]:
        dice = self.dice
        labels = labels or [{"name": "q", "rows": bytes(4), "values": ["x"]}]
        one = dice.choice(labels)
        rows, values = one["rows"], one["values"]
        others: tuple[tuple[bytes, list[str]], ...] = (
            *((b"", values), (rows[:-1], values), (rows + bytes(4), [*values, "x"]), (rows[::-1], values)),
            *((rows, values[:-1]), (rows, [*values, "x"]), (rows + b"\xff" * 4, [*values, "x"]), (b"", [])),
            *((np.array(sorted(dice.sample(range(8), 2)), "<u4").tobytes(), ["x", "y"]), (b"\xff" * 4, ["x"])),
        )
        match dice.randrange(4):
            case 0:
                return [*labels, dict(one)]
            case 1:
                one["name"] = dice.choice(["task", "", "ä", "\0"])
            case _:
                one["rows"], one["values"] = dice.choice(others)
        return labels


def _item(dice: random.Random, item: Any) -> bytes:
    if isinstance(item, int):
        return zigzag(item)
    if isinstance(item, str):
        return text(item.encode())
    values = item["values"]
    tail = text(values) if isinstance(values, bytes) else blocks(dice, [text(value.encode()) for value in values])
    return text(item["name"].encode()) + text(item["rows"]) + tail

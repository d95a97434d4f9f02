"""MetricBatch bodies: good ones, and the same with a lie in them or with damage. All from one seed."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import schema
from runbus.schemas.metric_batch import (
    NO_POSITION,
    VALUE_KINDS,
    MetricBatch,
    MetricColumns,
    MetricHeader,
    decode,
    encode,
)
from runbus.schemas.record import read_record, write_record
from runbus.schemas.walk import zigzag
from tests.fuzz.damage import NUMBERS, TEXTS, blocks, damaged, text
from tests.fuzz.rows import Row, bits

METRIC_BATCH = schema("MetricBatch")

#: column of `metrics` -> expression that reads it back without loss
METRICS: dict[str, str] = {
    **{name: name for name in ("run_id", "source", "attempt", "seq", "name", "axis", "at", "kind", "agent_id")},
    **{name: name for name in ("agent_attempt", "env", "episode", "step", "step_seq", "judge", "label", "text")},
    **{name: f"toUnixTimestamp64Micro({name})" for name in ("ts", "sent_at")},
    "dropped": "dropped",
    "value": "if(isNull(value), 0, reinterpretAsUInt64(assumeNotNull(value)))",
    "absent": "isNull(value)",
}


def metric_rows(body: bytes) -> list[Row]:
    """Return the rows of `metrics` that a MetricBatch body means. Raises InvalidValue."""
    batch = decode(body)
    h, columns = batch.header, batch.columns

    def cell(name: str, row: int, none: int) -> int:
        column = getattr(columns, name)
        return none if column is None else int(column[row])

    def said(texts: tuple[str, ...], row: int) -> str:
        return texts[row] if texts else ""

    rows = []
    for i in range(h.count):
        kind, absent = cell("kind", i, 0), cell("absent", i, 0)
        rows.append(
            {name: getattr(h, name) for name in ("run_id", "source", "attempt", "dropped", "sent_at")}
            | {name: cell(name, i, -1) for name in ("env", "episode", "step", "step_seq")}
            | {name: said(getattr(batch, name), i) for name in ("judge", "label", "text")}
            | {
                "seq": h.first_seq + i,
                "name": batch.names[columns.name[i]],
                "axis": batch.axes[columns.name[i]],
                "at": cell("at", i, NO_POSITION),
                "ts": int(columns.ts[i]),
                "kind": VALUE_KINDS[kind] if kind < len(VALUE_KINDS) else str(kind),
                "agent_id": said(batch.agent, i),
                "agent_attempt": cell("agent_attempt", i, 0),
                "value": 0 if absent else bits(float(columns.value[i])),
                "absent": absent,
            }
        )
    return rows


class MetricBatches:
    """A source of MetricBatch bodies.

    Args:
        seed: the same seed gives the same bodies.
    """

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def good(self) -> MetricBatch:
        """Return a batch of one to five values."""
        dice, count = self.dice, self.dice.randint(1, 5)
        names = dice.sample(
            [("loss", ""), ("loss", "global_step"), ("täg/a", "episode"), ("x", "")], dice.randint(1, 4)
        )

        def column(dtype: str, *values: float) -> Any:
            return np.array([dice.choice(values) for _ in range(count)], dtype) if dice.random() < 0.4 else None

        def texts(*values: str) -> tuple[str, ...]:
            return tuple(dice.choice(values) for _ in range(count)) if dice.random() < 0.3 else ()

        return MetricBatch(
            MetricHeader(
                *dice.choice([("run", "learner-0"), ("run-é", "судья")]),
                dice.choice([1, 2**40]),
                dice.choice([0, 5, 2**40]),
                count,
                dice.choice([0, 3]),
                1_790_000_000_000_000,
            ),
            MetricColumns(
                name=np.array([dice.randrange(len(names)) for _ in range(count)], "<u2"),
                ts=1_790_000_000_000_000 + np.arange(count) * 1000,
                value=np.array([dice.choice([0.0, -0.0, 1.5, np.nan, -np.inf]) for _ in range(count)]),
                at=column("<i8", 0, -5, NO_POSITION, 2**63 - 1),
                kind=column("|u1", 0, 1, 2, 3, 255),
                absent=column("|u1", 0, 1),
                agent_attempt=column("<i8", 0, 1, 2**60),
                env=column("<i4", -1, 0, 2**31 - 1),
                episode=column("<i8", -1, 0, 2**62),
                step=column("<i4", -1, 0, 7),
                step_seq=column("<i8", -1, 0, 7),
            ),
            tuple(name for name, _ in names),
            tuple(axis for _, axis in names),
            agent=texts("", "agent-0", "ä/b"),
            judge=texts("", "gpt", "Ада"),
            label=texts("", "good", "größe"),
            text=texts("", "because", "\0"),
        )

    def body(self) -> bytes:
        """Return the body of a good batch."""
        return encode(self.good())

    def mutated(self) -> bytes:
        """Return a body with a lie, with damage, or in several blocks; it may still be a good one."""
        how = self.dice.random()
        body = self.lying() if how < 0.6 else self.reblocked() if how < 0.75 else self.body()
        return body if how < 0.7 else damaged(self.dice, body, self.body)

    def reblocked(self) -> bytes:
        """Return a good batch whose arrays are in several blocks, as other writers of Avro have it."""
        record, out = read_record(self.body(), METRIC_BATCH, METRIC_BATCH), b""
        for field in METRIC_BATCH.fields:
            value = record[field["name"]]
            if isinstance(value, int):
                out += zigzag(value)
            elif isinstance(value, (str, bytes)):
                out += text(value.encode() if isinstance(value, str) else value)
            else:
                out += blocks(self.dice, [text(item.encode()) for item in value])
        return out

    def lying(self) -> bytes:
        """Return a well-formed record of which one to three fields are others."""
        record = read_record(self.body(), METRIC_BATCH, METRIC_BATCH)
        for _ in range(self.dice.choice([1, 1, 2, 3])):
            name = self.dice.choice(list(record))
            record[name] = self._lie(record[name])
        try:
            return write_record(METRIC_BATCH, record)
        except InvalidValue:  # an int that Avro cannot write: the next one
            return self.lying()

    def _lie(self, value: Any) -> Any:
        dice = self.dice
        if isinstance(value, int):
            return dice.choice([*NUMBERS, value + 1, value - 1])
        if isinstance(value, str):
            return dice.choice([*TEXTS, "ä"])
        if isinstance(value, bytes):
            return dice.choice([b"", value + b"\0", value[:-1], value * 2, b"\xff" * len(value), b"\x01" * len(value)])
        return dice.choice([[], value[:-1], [*value, ""], [*value, *value], ["ä"] * len(value)])

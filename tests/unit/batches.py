"""Step batches for the tests of their coding, good ones and handmade bodies that lie."""

import json
from typing import Any

import numpy as np
from hypothesis import settings

from runbus.schemas.avsc import schema
from runbus.schemas.batch import (
    BatchHeader,
    Extra,
    Label,
    StepBatch,
    StepColumns,
)
from runbus.schemas.layout import Layout, layout_of
from runbus.schemas.record import write_record

quick = settings(max_examples=50, deadline=None, derandomize=True)
COLUMNS = {
    "env": "<i4",
    "episode": "<i8",
    "step": "<i4",
    "ts": "<i8",
    "reward": "<f8",
    "terminated": "|u1",
    "truncated": "|u1",
    "tick": "<i8",
    "seed": "<i8",
    "absent": "|u1",
    "kind": "|u1",
    "status": "|u1",
    "parent": "<i8",
}
#: columns that a batch may leave out
OPTIONAL = ("tick", "seed", "absent", "kind", "status", "parent")
TEXT = Layout("text", (), -1)
PAIR = layout_of((np.zeros(2, np.float32), "x"))


def make_columns(count: int) -> StepColumns:
    """Return columns of some steps."""
    ramp: dict[str, Any] = {name: np.arange(count).astype(dtype) for name, dtype in COLUMNS.items()}
    flags = (np.arange(count) % 2).astype("|u1")
    return StepColumns(**{**ramp, "terminated": flags, "truncated": 1 - flags, "absent": ramp["absent"] % 4})


def make_batch(count: int = 3) -> StepBatch:
    """Return a batch of every kind of value."""
    return StepBatch(
        header=BatchHeader("run", "agent", 1_700_000_000_000_000, 10, count, 2, 1_700_000_000_000_001, TEXT, PAIR),
        columns=make_columns(count),
        action=np.full(count, 2, "<u4").tobytes() + b"go" * count,
        observation=np.full(count, 13, "<u4").tobytes() + bytes(8 * count + 4 * count + count),
        extras=(Extra("loss", np.array([0, count - 1], "<u4"), np.array([0.5, np.nan], "<f8")),),
        info=tuple(json.dumps({"n": n}) for n in range(count)),
        large_seeds=("", *(str(-(2**64) - n) for n in range(count - 1))),
        labels=(
            Label("task", np.array([0], "<u4"), ("räumen",)),
            Label("", np.arange(count, dtype="<u4"), ("",) * count),
        ),
        stop=tuple("max_turns" if n == count - 1 else "" for n in range(count)),
    )


def make_body(fields: dict[str, object], count: int = 3) -> bytes:
    """Return a body in which some Avro fields are other than `encode` would write them."""
    values: dict[str, object] = {f["name"]: None for f in schema("StepBatch").fields}
    good = make_batch(count)
    for name, dtype in COLUMNS.items():
        values[name] = getattr(good.columns, name).astype(dtype).tobytes()
    for name in ("action", "observation"):
        layout: Layout = getattr(good.header, name)
        values |= {f"{name}_dtype": layout.dtype, f"{name}_shape": list(layout.shape), f"{name}_width": layout.width}
    header = {name: getattr(good.header, name) for name in ("run_id", "agent_id", "attempt", "first_seq", "count")}
    header |= {"dropped": 0, "sent_at": 1, "extras": [], "info": [], "action": good.action}
    header |= {name: [] for name in ("large_seeds", "labels", "stop")}
    return write_record(schema("StepBatch"), {**values, **header, "observation": good.observation, **fields})


def assert_equal(left: StepBatch, right: StepBatch) -> None:
    """Fail unless two batches are the same, bit for bit."""
    assert left.header == right.header
    assert (left.action, left.observation) == (right.action, right.observation)
    for name in ("info", "large_seeds", "stop"):
        assert getattr(left, name) == getattr(right, name)
    for name, dtype in COLUMNS.items():
        a, b = getattr(left.columns, name), getattr(right.columns, name)
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == np.dtype(dtype)
            assert a.tobytes() == b.tobytes()
    assert [e.name for e in left.extras] == [e.name for e in right.extras]
    for a, b in zip(left.extras, right.extras, strict=True):
        assert a.rows.tobytes() == b.rows.tobytes()
        assert a.values.tobytes() == b.values.tobytes()
    texts = [[(label.name, label.rows.tolist(), label.values) for label in batch.labels] for batch in (left, right)]
    assert texts[0] == texts[1]

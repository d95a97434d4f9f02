"""Values for the sink's unit tests, as a recorder would write them."""

from collections.abc import Callable

import numpy as np
import pytest

from runbus.schemas.avsc import schema
from runbus.schemas.batch import BatchHeader, Extra, StepBatch, encode
from runbus.schemas.codec import Codec
from runbus.schemas.layout import Layout
from tests.support.batches import step_columns
from tests.unit.sink.sink_setup import MakeValue, SinkSetup

MakeBatch = Callable[..., StepBatch]


@pytest.fixture
def make_batch() -> MakeBatch:
    """Return a maker of StepBatches: make_batch(first_seq, count)."""

    def make(first: int, count: int, run: str = "r", agent: str = "a") -> StepBatch:
        seq = np.arange(first, first + count)
        episode, step = (seq // 100).astype("<i8"), (seq % 100).astype("<i4")
        columns = step_columns(seq, ts=1_790_000_000_000_000 + seq, episode=episode, step=step)
        header = BatchHeader(run, agent, 7, first, count, 0, 1, Layout("text", (), -1), Layout("<f4", (2,), 8))
        texts = [f"do {i}".encode() for i in seq]
        action = np.array([len(x) for x in texts], "<u4").tobytes() + b"".join(texts)
        extra = Extra("loss", np.array([0, count - 1][: min(2, count)], "<u4"), np.ones(min(2, count), "<f8"))
        observation = np.repeat(seq, 2).astype("<f4").tobytes()
        return StepBatch(header, columns, action, observation, (extra,), tuple(f'{{"i":{i}}}' for i in seq))

    return make


@pytest.fixture
def make_value(make_batch: MakeBatch) -> MakeValue:
    """Return a maker of framed StepBatch values: make_value(first_seq, count)."""

    def make(first: int, count: int, run: str = "r", agent: str = "a") -> bytes:
        return Codec().frame("steps", schema("StepBatch"), encode(make_batch(first, count, run, agent)))

    return make


@pytest.fixture
def setup(make_value: MakeValue) -> SinkSetup:
    """Return five batches of five steps: three ranges."""
    return SinkSetup([make_value(i * 5, 5) for i in range(5)])

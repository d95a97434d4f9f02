"""Splitting batches: the parts together are the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.recorder import Recorder, RunBus
from runbus.recorder.encoding import Packing, encoded
from runbus.recorder.events import StepsRecorded
from runbus.schemas.batch import StepBatch, check, decode
from runbus.schemas.codec import Codec
from runbus.schemas.layout import unpack


def recorded(observations: list[object], *, extras: bool = True) -> StepsRecorded:
    """Return one batch with a bit of everything in it."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    recorder = Recorder("run-1", bus=bus, kafka=False, observations="all")
    recorder.reset(observations[0], seed=5)
    for i, observation in enumerate(observations[1:]):
        if extras and i % 3 == 0:
            recorder.log({"loss": float(i)})
        info = {"i": i} if i % 4 == 0 else None
        recorder.step(f"action {i}", float(i), i % 2 == 0, False, observation, info=info, tick=i)
    recorder.close()
    (found,) = [e for e in subscription.get_many(100) if isinstance(e, StepsRecorded)]
    return found


def rows(batch: StepBatch) -> list[tuple[object, ...]]:
    """Return a batch row by row, with everything of a row in it."""
    h, c = batch.header, batch.columns
    extras = [
        {e.name: v for e in batch.extras for r, v in zip(e.rows, e.values, strict=True) if r == i}
        for i in range(h.count)
    ]
    return list(
        zip(
            range(h.first_seq, h.next_seq),
            c.episode.tolist(),
            c.step.tolist(),
            c.ts.tolist(),
            c.reward.tolist(),
            c.terminated.tolist(),
            [None] * h.count if c.tick is None else c.tick.tolist(),
            [None] * h.count if c.seed is None else c.seed.tolist(),
            batch.info or [""] * h.count,
            unpack(h.action, batch.action, h.count),
            unpack(h.observation, batch.observation, h.count),
            extras,
            strict=True,
        )
    )


@pytest.mark.parametrize("count", [2, 3, 40])
@pytest.mark.parametrize("kind", ["text", "array", "none"])
def test_halves_are_the_whole(kind: str, count: int) -> None:
    """Every row of a batch is in exactly one half, unchanged, with valid batches on both sides."""
    shown: dict[str, list[object]] = {
        "text": ["x" * i for i in range(count)],
        "array": [np.full(3, i, np.float32) for i in range(count)],
        "none": [None] * count,
    }
    batch = recorded(shown[kind]).batch()
    first, second = batch.slice(0, count // 2), batch.slice(count // 2, count)
    check(first)
    check(second)
    assert rows(first) + rows(second) == rows(batch)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 4000), min_size=1, max_size=30))
def test_parcels_respect_the_limit_and_lose_nothing(sizes: list[int]) -> None:
    """Whatever the sizes, parcels are in order, complete, and only single steps are over the limit."""
    source = recorded(["x" * size for size in sizes])
    found = encoded(source, Packing("steps", Codec(), limit=6000), 1)
    assert all(len(p.value) <= 6000 or p.count == 1 for p in found)
    assert [p.too_large for p in found] == [len(p.value) > 6000 for p in found]
    batches = [decode(Codec().open(p.value, "StepBatch")[1]) for p in found]
    assert [p.first_seq for p in found] == [b.header.first_seq for b in batches]
    assert [row for b in batches for row in rows(b)] == rows(source.batch())

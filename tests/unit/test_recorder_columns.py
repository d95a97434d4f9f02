"""Splitting batches: the parts together are the whole."""

from typing import Any

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
    """Whatever the sizes, parcels are in order, complete, and below the limit; only a large observation is left out."""
    source = recorded(["x" * size for size in sizes])
    found = encoded(source, Packing("", Codec(), limit=2500), 1)
    assert all(len(p.value) <= 2500 and not p.error for p in found)
    batches = [decode(Codec().open(p.value, "StepBatch")[1]) for p in found]
    assert [p.first_seq for p in found] == [b.header.first_seq for b in batches]
    stored, expected = [row for b in batches for row in rows(b)], rows(source.batch())
    left_out = [row[-1].pop("left_out.observation", None) for row in stored]  # type: ignore[attr-defined]
    assert all(size > 1500 for size, mark in zip(sizes, left_out, strict=True) if mark)
    assert all(size < 2500 for size, mark in zip(sizes, left_out, strict=True) if not mark)
    for row, whole, mark in zip(stored, expected, left_out, strict=True):
        assert row[:10] == whole[:10]
        assert row[10] == (b"" if mark else whole[10])
        assert row[11] == whole[11]
    assert sum(p.without == ("observation",) for p in found) == sum(map(bool, left_out))


LARGE = "x" * 5000


@pytest.mark.parametrize(
    ("part", "call"),
    [
        ("observation", {"observation": LARGE}),
        ("action", {"action": LARGE}),
        ("info", {"info": {"x": LARGE}}),
        ("log", {"log": {f"name {i}": 1.0 for i in range(500)}}),
    ],
)
def test_the_largest_part_of_a_step_is_left_out(part: str, call: dict[str, Any]) -> None:
    """Reward, flags and the other parts of the step stay; of several large parts each is left out."""
    for others in ({}, {"observation": LARGE + "x"}):
        source = one_step(**{**others, **call})
        (found,) = encoded(source, Packing("", Codec(), limit=3000), 1)
        expected = {part, *others}
        assert set(found.without) == expected
        batch = decode(Codec().open(found.value, "StepBatch")[1])
        assert (batch.columns.reward.tolist(), batch.columns.terminated.tolist()) == ([1.5], [1])
        extras = {e.name: e.values.tolist() for e in batch.extras}
        assert extras.keys() == {f"left_out.{name}" for name in expected}
        assert extras[f"left_out.{part}"] == [500.0 if part == "log" else 1.0]
        assert (batch.header.observation.dtype == "omitted:text") == ("observation" in expected)


def one_step(log: dict[str, float] | None = None, action: Any = 1, **parts: Any) -> StepsRecorded:
    """Return a batch of one step."""
    bus = RunBus()
    subscription = bus.subscribe("test")
    recorder = Recorder("run-1", bus=bus, kafka=False)
    recorder.log(log or {})
    recorder.step(action, 1.5, True, False, **parts)
    recorder.close()
    (found,) = [e for e in subscription.get_many(100) if isinstance(e, StepsRecorded)]
    return found


def test_a_step_that_cannot_be_encoded_costs_no_other() -> None:
    """Whatever is wrong with one row of a batch, the batch is halved until that row is alone, and loses that part."""
    source = recorded(["a", "b", "c", "d"])
    source.infos[2] = "\ud800"
    found = encoded(source, Packing("", Codec()), 1)
    batches = [decode(Codec().open(p.value, "StepBatch")[1]) for p in found]
    assert [row[0] for b in batches for row in rows(b)] == [0, 1, 2, 3]
    assert [p.without for p in found if p.without] == [("info",)]


def test_a_block_is_cut_by_rows() -> None:
    """A call that is larger than a queue is published in parts, with seeds and marks where they belong."""
    bus = RunBus()
    subscription = bus.subscribe("test", "drop_oldest", max_events=10**6, max_bytes=16 * 2**20)
    recorder = Recorder("run-1", bus=bus, kafka=False, observations="all")
    observations = np.arange(140_000 * 8, dtype=np.int32).reshape(-1, 8)
    seeds: Any = [None] * 139_998 + [7, "x"]
    recorder.reset_vector(observations, seeds=seeds)
    recorder.close()
    events = [e for e in subscription.get_many(1000) if isinstance(e, StepsRecorded)]
    assert all(e.nbytes < 2.5 * 2**20 for e in events)
    batches = [e.batch() for e in events]
    assert b"".join(b.observation for b in batches) == observations.tobytes()
    assert [i for b in batches for i in b.columns.env.tolist()] == list(range(140_000))
    last = batches[-1]
    assert last.columns.seed is not None
    assert last.columns.seed[-2] == 7
    assert [(e.name, e.rows.tolist()) for e in last.extras] == [("left_out.seed", [last.header.count - 1])]
    assert recorder.stats()["dropped"] == 0

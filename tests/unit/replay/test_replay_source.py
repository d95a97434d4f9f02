"""A Source hands out each step once an epoch, and goes on at exactly the item that would have come."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.config.errors import ConfigError
from runbus.replay import RunChanged, Source
from runbus.replay.episodes import Episode
from runbus.replay.rows import StepRows
from tests.unit.replay.memory_store import MemoryStore, cut, identity, source_of, stream_rows, values_are_of

quick = settings(max_examples=150, deadline=None, derandomize=True)


@st.composite
def stores(draw: st.DrawFn) -> MemoryStore:
    """Return streams of episodes of any length, in lanes, cut into parts and blocks anywhere."""
    lanes: list[list[list[StepRows]]] = []
    for lane in range(draw(st.integers(1, 3))):
        lengths: list[int] = draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
        rows = stream_rows(f"agent-{lane}", lengths, draw(st.integers(1, 3)), text=lane == 2)
        parts = cut(rows, draw(st.lists(st.integers(0, len(rows)), max_size=5)))
        new = draw(st.lists(st.booleans(), min_size=len(parts), max_size=len(parts)))
        blocks: list[list[StepRows]] = []
        for part, begins in zip(parts, new, strict=True):
            if begins or not blocks:
                blocks.append([])
            blocks[-1].append(part)
        lanes.append(blocks)
    return MemoryStore(lanes)


ASKED = st.fixed_dictionaries(
    {
        "unit": st.sampled_from(["steps", "episodes"]),
        "batch": st.integers(1, 9),
        "shuffle": st.sampled_from([0, 1, 4, 100]),
        "seed": st.integers(0, 3),
        "incomplete": st.booleans(),
    }
)


def _said(item: StepRows | Episode) -> list[Any]:
    return identity(item.rows if isinstance(item, Episode) else item)


@quick
@given(stores(), ASKED)
def test_each_step_is_handed_out_once_with_its_values(store: MemoryStore, asked: dict[str, Any]) -> None:
    """All steps, or all whole episodes; in order, those of a stream ascend."""
    items = list(source_of(store, **asked))
    said = [one for item in items for one in _said(item)]
    every = [one for blocks in store._lanes for parts in blocks for part in parts for one in identity(part)]
    assert len(said) == len(set(said))
    if asked["unit"] == "steps" or asked["incomplete"]:
        assert set(said) == set(every)
    else:
        assert all(item.complete and item.rows.step[0] == 0 and item.rows.terminated[-1] for item in items)
        ends = sum(int(part.terminated.sum()) for blocks in store._lanes for parts in blocks for part in parts)
        assert len(items) == ends
    assert all(values_are_of(item.rows if isinstance(item, Episode) else item) for item in items)
    if asked["unit"] == "steps":
        assert all(len(item) <= asked["batch"] for item in items)
        if not asked["shuffle"]:
            assert said == every


@quick
@given(stores(), ASKED, st.integers(0, 2), st.data())
def test_it_goes_on_exactly(store: MemoryStore, asked: dict[str, Any], epochs: int, data: st.DataObject) -> None:
    """The rest of the epoch is what it would have been, wherever it stops; the next epoch too."""
    whole = source_of(store, **asked)
    for _ in range(epochs):
        list(whole)
    expected = [_said(item) for item in whole]
    after = [_said(item) for item in whole]
    stop = data.draw(st.integers(0, len(expected)))
    begun = source_of(store, **asked)
    for _ in range(epochs):
        list(begun)
    items = iter(begun)
    for _ in range(stop):
        next(items)
    state = json.loads(json.dumps(begun.state_dict()))
    again = source_of(store, **asked)
    again.load_state_dict(state)
    assert [_said(item) for item in again] == expected[stop:]
    assert [_said(item) for item in again] == after


def test_epochs_and_seeds_differ_and_repeat() -> None:
    """The order follows from seed and epoch alone."""
    rows = [stream_rows(f"agent-{n}", [4] * 10) for n in range(4)]
    store = MemoryStore([[[part] for part in cut(one, range(0, 50, 7))] for one in rows])

    def order(seed: int, unit: str) -> list[list[Any]]:
        source = source_of(store, seed=seed, shuffle=30, unit=unit)
        return [[one for item in source for one in _said(item)] for _ in range(2)]

    for unit in ("steps", "episodes"):
        first, second = order(1, unit)
        assert first != second
        assert sorted(first) == sorted(second)
        assert order(1, unit) == [first, second]
        assert order(2, unit)[0] != first


def test_a_resumed_source_reads_only_what_it_needs() -> None:
    """Blocks that were handed out whole are not read again."""
    rows = stream_rows("agent-0", [9] * 100)
    store = MemoryStore([[[part] for part in cut(rows, range(0, 1000, 100))]])
    for unit in ("steps", "episodes"):
        source = source_of(store, unit=unit, batch=10)
        items = iter(source)
        for _ in range(75):
            next(items)
        again = source_of(store, unit=unit, batch=10)
        again.load_state_dict(source.state_dict())
        store.reads = 0
        next(iter(again))
        assert store.reads <= 2


def test_a_state_is_for_the_same_source_only() -> None:
    """Other arguments, another version and other steps are said in one sentence."""
    store = MemoryStore([[[stream_rows("agent-0", [3, 3])]]])
    state = source_of(store, batch=2).state_dict()
    with pytest.raises(ConfigError, match="batch=2: make it with the same arguments"):
        source_of(store, batch=3).load_state_dict(state)
    with pytest.raises(ConfigError, match="no state of a Source of this version"):
        source_of(store, batch=2).load_state_dict({**state, "version": 0})
    other = MemoryStore([[[stream_rows("agent-0", [3, 3, 3])]]])
    changed = source_of(other, batch=2)
    changed.load_state_dict(state)
    with pytest.raises(RunChanged, match="had 8 steps when the state was taken, and 12 of them"):
        list(changed)
    assert other.closed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"run": "a/b"}, "leave out '/'"),
        ({"store": "disk"}, "store='disk' is not one of kafka, clickhouse"),
        ({"unit": "rows"}, "unit='rows' is not one of steps, episodes"),
        ({"batch": 0}, "batch=0 must be at least 1"),
        ({"shuffle": -1}, "shuffle=-1"),
    ],
)
def test_what_cannot_be_read_is_said_at_once(arguments: dict[str, Any], said: str) -> None:
    """Before anything is connected."""
    with pytest.raises(ConfigError, match=said):
        Source(**{"run": "r", **arguments})


def test_another_process_opens_its_own() -> None:
    """A Source that is pickled, or forked, goes on where it was, over connections of its own."""
    store, other = (MemoryStore([[[stream_rows("agent-0", [3, 3])]]]) for _ in range(2))
    source = source_of(store, batch=2)
    next(iter(source))
    sent = _pickled(source)
    sent._open = lambda: other
    assert [rows.seq.tolist() for rows in sent] == [[2, 3], [4, 5], [6, 7]]
    source._pid += 1  # as a forked child sees it
    source._open = lambda: other  # type: ignore[method-assign]
    assert [rows.seq.tolist() for rows in source] == [[2, 3], [4, 5], [6, 7]]
    assert not store.closed


def _pickled(source: Source[Any]) -> Any:
    own = source.__dict__.pop("_open")  # the test's, a lambda
    try:
        return pickle.loads(pickle.dumps(source))
    finally:
        source.__dict__["_open"] = own

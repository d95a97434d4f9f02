"""The state of the finaliser: one value per stream, small, complete and refused if it is foreign."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.episodes.finaliser import EpisodesCore
from runbus.episodes.policy import FinaliserPolicy
from runbus.kafka.model import StreamId
from runbus.schemas.events import EpisodeFinalized
from tests.unit.episodes.history import STREAM, EpisodesSetup, Row, batch, episode


def test_only_streams_that_changed_are_written() -> None:
    """A commit costs what happened since the last one."""
    bench = EpisodesSetup()
    other = StreamId("run", "other", 7)
    bench.send(episode(0, 1))
    bench.send(episode(0, 1), 0, other)
    assert [change.key for change in bench.core.changes()] == [b"run/agent/1", b"run/other/7"]
    assert bench.core.changes() == []
    bench.send([Row(0, 1, 0)], 2, other)
    assert [change.key for change in bench.core.changes()] == [b"run/other/7"]


def test_a_vector_environment_costs_little() -> None:
    """One value for all its envs, below 160 bytes each."""
    bench = EpisodesSetup()
    bench.send([Row(env, 0, 0) for env in range(512)])
    (change,) = bench.core.changes()
    assert change.value is not None
    assert len(change.value) < 512 * 160


def test_everything_survives_a_restart() -> None:
    """Gaps, late episodes, named sums, the end of the stream and what supersedes it."""
    bench = EpisodesSetup()
    rows = [*episode(0, 6), *episode(1, 6)]
    rows = [row._replace(extra=0.5) for row in rows]
    bench.send(rows[:2])
    bench.send(rows[4:9], 4)
    bench.send([Row(3, 0, 0, extra=2.5)], 14)
    bench.finish(30)
    bench.send([Row(0, 0, 0)], 0, STREAM._replace(attempt=2))
    bench.restart()
    bench.send(rows[2:4], 2)
    assert [(e.revision, e.complete, e.extras_sum) for e in bench.emitted[-1:]] == [(2, True, {"loss": 3.5})]
    events = bench.wait(1001)
    assert [(e.env, e.revision, e.reason, e.extras_sum, e.missing_to) for e in events] == [
        (0, 1, "interrupted", {"loss": 1.0}, [13]),  # by the newer attempt
        (3, 1, "interrupted", {"loss": 2.5}, []),
        (0, 2, "interrupted", {"loss": 1.0}, [13, 29]),  # by its own end, which says that more is missing
        (3, 2, "interrupted", {"loss": 2.5}, [29]),
    ]


def test_rewards_may_be_anything() -> None:
    """NaN, infinities and sums that overflow are numbers like others, before and after a restart."""
    bench = EpisodesSetup()
    bench.send([Row(0, 0, 0), Row(0, 0, 1, float("nan")), Row(1, 0, 1, 1e308)])
    bench.restart()
    bench.send([Row(0, 0, 2, float("inf")), Row(0, 0, 3, -1.0, True), Row(1, 0, 2, 1e308, True)], 3)
    first, second = bench.emitted
    assert np.isnan([first.return_, first.min_reward, first.max_reward]).all()
    assert second.return_ == float("inf")


@pytest.mark.parametrize("key", [b"run/agent", b"run/agent/x", b"\xff/a/1"])
def test_a_foreign_key_is_refused(key: bytes) -> None:
    """What is no stream is an error, never a stream."""
    with pytest.raises(ValueError, match=r"."):
        EpisodesCore().restore(key, b"")


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 300))
def test_foreign_or_cut_bytes_are_refused(noise: bytes, cut: int) -> None:
    """Bytes that this version did not write are an error, never a wrong state."""
    bench = EpisodesSetup()
    bench.send(episode(0, 2, over=""))
    bench.send([Row(0, 0, 5)], 5)
    (change,) = bench.core.changes()
    assert change.value is not None
    for value in (noise, change.value[: min(cut, len(change.value) - 1)], b"\x09" + change.value[1:]):
        with pytest.raises(ValueError, match=r"."):
            EpisodesCore().restore(change.key, value)


@pytest.mark.parametrize("name", ["idle_ms", "remember_ms", "max_late", "max_finished"])
def test_a_policy_must_be_positive(name: str) -> None:
    """A duration of 0 would close everything at once."""
    with pytest.raises(ValueError, match=name):
        FinaliserPolicy(**{name: 0})


LIES = st.builds(
    Row,
    st.sampled_from([-1, 0, 1, 70_000]),
    st.integers(-1, 3),
    st.integers(-1, 4),
    st.sampled_from([0.5, float("nan"), float("inf"), -1e308]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, 0.5]),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.lists(LIES, min_size=1, max_size=12)), max_size=12))
def test_no_row_can_break_it(batches: list[tuple[int, list[Row]]]) -> None:
    """Whatever stands in a record: nothing raises, no warning, and what is emitted can be encoded."""
    bench = EpisodesSetup()
    for first_seq, rows in batches:
        effects = bench.core.apply(batch(rows, first_seq), bench.at)
        assert 0 <= effects.refused_steps <= len(rows)
        assert bool(effects.refused) == (effects.refused_steps > 0)
        for emission in effects.emissions:
            assert isinstance(emission.event, EpisodeFinalized)
            emission.event.encode()
        bench.wait(700)
        bench.restart()


def test_words_survive_a_restart_and_late_rows_change_them() -> None:
    """Labels and the reason why an episode stopped are of its newest row that says them, whenever that row comes."""
    bench = EpisodesSetup()
    reset, first, second, last = episode(0, 3)
    rows = [
        reset._replace(labels=(("task", "sort"), ("split", "train"))),
        first._replace(labels=(("task", "search"),), stop="a pause"),
        second,
        last._replace(stop="max_turns"),
    ]
    bench.send(rows[:1])
    bench.restart()
    (ended,) = bench.send(rows[2:], 2)
    assert (ended.labels, ended.stop) == ({"task": "sort", "split": "train"}, "max_turns")
    bench.restart()
    (again,) = bench.send(rows[1:2], 1)
    assert (again.revision, again.complete) == (2, True)
    assert (again.labels, again.stop) == ({"task": "search", "split": "train"}, "max_turns")


def test_labels_that_no_event_holds_are_cut() -> None:
    """Another program may send megabytes of them: the event has what fits, and the same after a restart."""
    bench = EpisodesSetup()
    many = tuple((f"{n:04}", "ä" * 1000) for n in range(1000))
    bench.send([Row(0, 0, 0, labels=many)])
    bench.restart()
    (event,) = bench.send([Row(0, 0, 1, terminated=True, stop="x" * 2**20)], 1)
    assert 250 < len(event.labels) < 300
    assert list(event.labels) == [f"{n:04}" for n in range(len(event.labels))]
    assert len(event.encode()) < 2**20

"""The core: what it emits when, what it forgets, and what is state."""

from __future__ import annotations

import math

import pytest

from runbus.kafka.model import StreamId
from runbus.live_metrics import LiveMetricsCore
from runbus.live_metrics.core import INTERVAL_MS, KEEP_FINISHED_MS, SILENT_MS
from runbus.schemas.events import LiveMetrics
from runbus.streams.api import At
from tests.unit.live_metrics.rows import SOURCE, START_MS, START_US, STREAM, Caller, Row, batch, finished

S = 1_000_000
OTHER = StreamId("run", "other", 1)
#: The ends of the range of ts, as `Row` has them: adding START_US to the first wraps around.
LOWEST, HIGHEST = 2**63 - START_US, 2**63 - 1 - START_US


def _steps(count: int, ts: int = 0) -> list[Row]:
    return [Row(1 + i, ts=ts + i) for i in range(count)]


def test_a_new_stream_is_emitted_at_once_and_in_full() -> None:
    """The first batch leads to an event with all totals, under the stream's key, that the schema takes."""
    core = LiveMetricsCore(SOURCE)
    rows = [Row(0), Row(1, 2.0, 10), Row(2, 3.0, 20, terminated=1), Row(0, ts=30, episode=1), Row(1, 4.0, 40, 1)]
    effects = core.apply(batch(rows, dropped=5), At(41, START_MS, START_US))
    (emission,) = effects.emissions
    event = emission.event
    assert (emission.topic.name, emission.key) == ("live-metrics", b"run/agent")
    assert isinstance(event, LiveMetrics)
    assert LiveMetrics.decode(event.encode()) == event
    assert (event.run_id, event.agent_id, event.attempt, event.sent_at) == (*STREAM, START_US)
    assert (event.steps, event.episodes, event.dropped, event.newest_ts) == (3, 1, 5, START_US + 40)
    assert (event.last_return, event.last_length, event.running_return, event.running_length) == (5.0, 2, 4.0, 1)
    assert event.reasons == {"terminated": 1, "truncated": 0, "abandoned": 0, "interrupted": 0}
    assert event.positions == {SOURCE: 42}
    assert event.steps_per_second == 3.0
    assert {(w.name, w.seconds, w.count, w.sum) for w in event.windows} == {
        *(("reward", s, 3, 9.0) for s in (1, 60)),
        *(("return", s, 1, 5.0) for s in (1, 60)),
        *(("length", s, 1, 2.0) for s in (1, 60)),
    }


def test_a_stream_is_emitted_at_most_once_in_an_interval() -> None:
    """What comes within the interval is told at its end, once, with everything up to then; then there is silence."""
    caller = Caller()
    assert len(caller.rows(_steps(1))) == 1
    for i in range(1, 11):
        assert caller.rows(_steps(1), i) == []
    assert caller.backlog(INTERVAL_MS - 1) == []
    (event,) = caller.backlog(1)
    assert (event.steps, event.positions) == (11, {SOURCE: 11})
    assert caller.backlog(10 * INTERVAL_MS) == []
    assert len(caller.rows(_steps(1), 11)) == 1


def test_each_stream_has_its_own_interval_and_tick_follows_their_order() -> None:
    """Streams that changed are emitted when each is due, not before."""
    caller = Caller()
    caller.rows(_steps(1))
    caller.backlog(100)
    caller.send(batch(_steps(1), stream=OTHER))
    caller.send(batch(_steps(1), 1, stream=OTHER))
    caller.rows(_steps(1), 1)
    assert [e.agent_id for e in caller.backlog(150)] == ["agent"]
    assert [e.agent_id for e in caller.backlog(100)] == ["other"]


def test_a_wall_clock_that_is_set_back_holds_nothing_back() -> None:
    """After a step back of an hour emissions go on at once."""
    caller = Caller()
    caller.rows(_steps(1))
    caller.rows(_steps(1), 1)
    caller.now_us -= 3600 * S
    assert [e.steps for e in caller.backlog(0)] == [2]
    assert caller.rows(_steps(1), 2) == []
    assert [e.steps for e in caller.backlog(INTERVAL_MS)] == [3]


def test_silence_is_said_once() -> None:
    """Two seconds of stream time after the last step the rate is 0: one event, and again after a restart."""
    caller = Caller()
    caller.rows(_steps(5))
    assert caller.wait(SILENT_MS) == []
    assert [(e.steps_per_second, e.steps) for e in caller.wait(1)] == [(0.0, 5)]
    assert caller.wait(60_000) == []
    caller.restart()  # the event may never have been sent
    assert [(e.steps_per_second, e.steps) for e in caller.wait(60_000)] == [(0.0, 5)]
    assert caller.wait(60_000) == []
    assert [e.steps_per_second for e in caller.rows(_steps(4), 5)] == [4.0]


def test_a_backlog_is_no_silence() -> None:
    """While stream time stands still nothing is called silent, however long that takes."""
    caller = Caller()
    caller.rows(_steps(5))
    assert caller.backlog(3_600_000) == []


def test_a_batch_that_is_sent_again_changes_nothing() -> None:
    """Duplicates are counted and neither emitted nor written to the state; overlapping batches count once."""
    caller = Caller()
    caller.rows(_steps(4))
    caller.commit()
    caller.backlog(INTERVAL_MS)
    assert caller.rows(_steps(4)) == []
    assert caller.core.changes() == []
    assert [e.steps for e in caller.rows(_steps(4), 2)] == [6]
    assert caller.core.size()["duplicates"] == 6


def test_dropped_never_goes_back() -> None:
    """A late batch has an older count of what was dropped."""
    caller = Caller()
    caller.send(batch(_steps(2), 2, dropped=7))
    caller.backlog(INTERVAL_MS)
    (event,) = caller.send(batch(_steps(2), 0, dropped=3))
    assert (event.dropped, event.steps) == (7, 4)


@pytest.mark.parametrize("first", ["end", "steps"])
def test_a_finished_event_interrupts_whenever_it_comes(first: str) -> None:
    """It may come before the steps or after them; it counts a second of stream time after it was appended."""
    caller = Caller()
    if first == "end":
        caller.end()
    caller.rows(_steps(3))
    if first == "steps":
        caller.end()
    assert caller.wait(1000) == []
    (event,) = caller.wait(1)
    assert (event.reasons["interrupted"], event.last_length, event.running_length) == (1, 3, 0)
    caller.end()
    caller.restart()
    assert [e.reasons["interrupted"] for e in caller.wait(5000)][-1] == 1
    assert [(w.name, w.count) for w in event.windows if w.name == "length"] == [("length", 1)] * 2


def test_a_finished_event_that_comes_late_counts_at_once() -> None:
    """Once stream time is past it, there is nothing to wait for."""
    caller = Caller()
    caller.rows(_steps(3))
    caller.wait(1500)
    (event,) = caller.core.end(finished(), START_MS, At(1, caller.watermark_ms, caller.now_us)).emissions
    assert isinstance(event.event, LiveMetrics)
    assert event.event.reasons["interrupted"] == 1


def test_waiting_finished_events_are_bounded() -> None:
    """Of ends that wait the oldest is forgotten, and that is counted."""
    core = LiveMetricsCore(SOURCE, max_streams=1)
    for i in range(11):
        core.end(finished(StreamId("run", f"agent-{i}", 1)), START_MS + i, At(0, 0, START_US))
    assert core.size()["forgotten_ends"] == 1


def test_a_finished_stream_is_forgotten_after_a_while() -> None:
    """Ten minutes of stream time after its end its state is deleted; also if a restart is in between."""
    caller = Caller()
    caller.rows(_steps(3))
    caller.end()
    caller.wait(1001)
    caller.restart()
    caller.wait(KEEP_FINISHED_MS)
    caller.commit()
    assert len(caller.state) == 1
    caller.wait(1)
    caller.commit()
    assert caller.state == {}
    assert caller.core.size()["streams"] == 0


@pytest.mark.parametrize("restart", [False, True])
def test_beyond_the_bound_the_stream_that_is_silent_longest_is_forgotten(restart: bool) -> None:
    """The order is that of the last steps, also through a restart; its state goes, and it is counted."""
    caller = Caller(LiveMetricsCore(SOURCE, max_streams=2))
    for name, seq in (("a", 0), ("b", 0), ("a", 2)):
        caller.send(batch(_steps(2), seq, stream=StreamId("run", name, 1)))
    caller.commit()
    if restart:
        caller.restart(max_streams=2)
    caller.send(batch(_steps(2), stream=StreamId("run", "c", 1)))
    caller.commit()
    assert list(caller.state) == [b"run/a/1", b"run/c/1"]
    assert (caller.core.size()["streams"], caller.core.size()["forgotten"]) == (2, 1)
    caller.restart(max_streams=1)
    caller.wait(0)
    caller.commit()
    assert list(caller.state) == [b"run/c/1"]


def test_after_a_restart_what_is_not_silent_is_emitted() -> None:
    """The crash may have come between a step and its event: totals are told again, windows start anew."""
    caller = Caller()
    caller.rows(_steps(3))
    caller.rows(_steps(3), 3)
    caller.restart()
    (event,) = caller.backlog(0)
    assert (event.steps, event.windows, event.steps_per_second) == (6, (), 0.0)
    assert caller.core.changes() == []


def test_late_rows_are_counted() -> None:
    """Rows of an earlier second than the running one are counted; they are in the totals."""
    caller = Caller()
    caller.rows(_steps(2, 5 * S))
    caller.backlog(INTERVAL_MS)
    assert [e.steps for e in caller.rows(_steps(3, S), 2)] == [5]
    assert caller.core.size()["late_rows"] == 3


def test_any_value_that_a_record_can_hold_is_taken() -> None:
    """Rewards that are no number, times at the ends of the range: nothing raises, and the event fits the schema."""
    caller = Caller()
    rows = [Row(1, 1e308), Row(2, 1e308, LOWEST, terminated=1), Row(3, math.nan, HIGHEST, -5, -1), Row(4, -math.inf)]
    (event,) = caller.rows(rows)
    assert event.steps == 4
    assert event.encode()
    caller.rows([Row(1, math.inf, LOWEST)], 4)
    caller.end()
    assert [e.encode() for e in caller.wait(3000)]


@pytest.mark.parametrize("ts", [LOWEST, HIGHEST])
def test_a_stream_of_times_that_are_none_is_shown(ts: int) -> None:
    """The start of a window is a long also where all rows have the lowest or highest time there is."""
    caller = Caller()
    ((event,), (later,)) = caller.rows([Row(1, ts=ts)]), caller.wait(2001)
    assert all(LiveMetrics.decode(e.encode()).windows for e in (event, later))


@pytest.mark.parametrize("value", [b"", b"\x09" * 200, None])
def test_state_that_is_none_is_refused(value: bytes | None) -> None:
    """Bytes of another version, or cut short, are a ValueError."""
    if value is None:
        caller = Caller()
        caller.rows(_steps(3))
        caller.commit()
        value = caller.state[b"run/agent/7"][:-1]
    with pytest.raises(ValueError, match=r"state|size"):
        LiveMetricsCore(SOURCE).restore(b"run/agent/7", value)


def test_an_event_is_at_most_8_kib() -> None:
    """A stream with the longest ids, busy for a minute, in many environments."""
    stream = StreamId("r" * 255, "a" * 255, 2**62)
    caller = Caller(LiveMetricsCore("t" * 240 + ":1000"))
    sizes = []
    for second in range(62):
        rows = [
            Row(1 + i, 0.1 * i * second, second * S + i, second, i % 50, terminated=i // 50 == 7) for i in range(400)
        ]
        sizes += [len(e.encode()) for e in caller.send(batch(rows, second * 400, stream=stream))]
        caller.wait(1000)
    assert len(sizes) == 62
    assert 6000 < max(sizes) <= 8192

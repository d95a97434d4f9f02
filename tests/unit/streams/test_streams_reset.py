"""A stream app that is moved: what is computed anew comes out as before, what is kept stays, nothing is lost."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.episodes.finaliser import EpisodesCore
from runbus.kafka.model import StreamId
from runbus.schemas.avsc import schema
from runbus.schemas.batch import StepBatch, encode
from runbus.schemas.codec import Codec
from runbus.schemas.events import EpisodeFinalized, RunEvent
from runbus.streams.driver import Driver
from runbus.streams.reset import NewPosition, SeenRecord, StateReset, reset_state, seen
from runbus.streams.shard import FENCE_KEY, KEPT_PREFIX, POSITION_KEY, SavedPosition
from tests.unit.episodes.happenings import POLICY, Happening, random_history
from tests.unit.episodes.history import batch, episode

A, B, C = (StreamId("run", name, 1) for name in "abc")
TOPIC = "topic"


# --- the real core on random logs -------------------------------------------------------------------------------------


def _ends_last(history: list[Happening]) -> list[Happening]:
    """Return a history in which each stream ends behind its last batch: a recorder waits for their acknowledgement."""
    streams = [None if h.what is None else _stream(h.what) for h in history]
    order = []
    for index, happening in enumerate(history):
        last = max(number for number, stream in enumerate(streams) if stream == streams[index])
        order.append((last + 0.5 if isinstance(happening.what, RunEvent) else index, happening))
    return [happening for _, happening in sorted(order, key=lambda item: item[0])]


def _stream(what: StepBatch | RunEvent) -> StreamId:
    of = what.header if isinstance(what, StepBatch) else what
    return StreamId(of.run_id, of.agent_id, of.attempt)


def _driven(seed: int) -> Driver:
    """Return an app that has taken a random history, with commits here and there."""
    driver, chance = Driver(lambda _: EpisodesCore(POLICY)), random.Random(seed)
    for wait_ms, what in _ends_last(random_history(seed)):
        driver.advance(wait_ms)
        if isinstance(what, StepBatch):
            driver.send(what)
        elif what is not None:
            driver.end(what)
        if chance.random() < 0.3:
            driver.commit()
    driver.commit()
    return driver


def _said(driver: Driver) -> set[bytes]:
    """Return every revision of every episode that was emitted, each once."""
    return {e.event.encode() for e in driver.emitted if isinstance(e.event, EpisodeFinalized)}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.data())
def test_nothing_else_is_said_wherever_the_app_is_moved_to(seed: int, data: st.DataObject) -> None:
    """Any log, any position, crashes and a second reset on the way: what is said again is what was said before."""
    driver = _driven(seed)
    before = _said(driver)
    for _ in range(data.draw(st.integers(1, 2))):
        driver.reset(data.draw(st.integers(0, len(driver.log))))
        driver.commit()
        if data.draw(st.booleans()):
            driver.crash()
    driver.advance(1)
    driver.commit()
    assert _said(driver) == before
    assert not any(key.startswith(KEPT_PREFIX) for key in driver.state)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_from_the_beginning_everything_is_said_again(seed: int) -> None:
    """A reset to offset 0 emits every revision of every episode once more, and leaves the same state."""
    driver = _driven(seed)
    before, state = _said(driver), dict(driver.state)
    driver.emitted.clear()
    driver.reset(0)
    driver.advance(1)
    driver.commit()
    assert _said(driver) == before
    assert driver.state.keys() == state.keys()


@pytest.mark.parametrize(
    ("seed", "offset"),
    [
        pytest.param(323, 1, id="a newer attempt, forgotten since, ends what an older one left open"),
        pytest.param(324, 0, id="FINISHED comes long after the last step"),
        pytest.param(18869799, 0, id="an attempt is replaced that is silent for long, and goes on"),
        pytest.param(12727, 0, id="late steps in the millisecond of FINISHED"),
    ],
)
def test_logs_that_once_came_out_differently(seed: int, offset: int) -> None:
    """What the search above found, kept."""
    driver = _driven(seed)
    before = _said(driver)
    driver.reset(offset)
    driver.advance(1)
    driver.commit()
    assert _said(driver) == before


# --- one stream at a time ---------------------------------------------------------------------------------------------


def _two_streams() -> Driver:
    """Return an app whose log has A, A, B, A: A goes on behind the beginning of B."""
    driver = Driver(lambda _: EpisodesCore(POLICY))
    driver.send(batch(episode(0, 3), 0, A))
    driver.send(batch(episode(1, 3), 4, A))
    driver.send(batch(episode(0, 3), 0, B))
    driver.send(batch(episode(2, 3), 8, A))
    driver.commit()
    return driver


def _ids(driver: Driver) -> list[tuple[str, int]]:
    return [(e.event.agent_id, e.event.episode) for e in driver.emitted if isinstance(e.event, EpisodeFinalized)]


def test_a_stream_that_began_before_is_kept_and_one_that_begins_behind_is_computed_anew() -> None:
    """A reset into A's middle emits B's episode again and nothing of A, and A goes on where it was."""
    driver = _two_streams()
    driver.emitted.clear()
    done = driver.reset(1)
    driver.commit()
    assert (done.anew, done.kept) == (1, 1)
    assert _ids(driver) == [("b", 0)]
    driver.send(batch(episode(3, 3), 12, A))
    driver.commit()
    assert _ids(driver) == [("b", 0), ("a", 3)]
    assert all(e.event.complete for e in driver.emitted if isinstance(e.event, EpisodeFinalized))


def test_a_position_ahead_leaves_a_gap_that_the_episodes_tell() -> None:
    """What is skipped is missing, and is said to be."""
    driver = _two_streams()
    driver.log.append(driver.log[-1]._replace(offset=4, value=_value(batch(episode(3, 3), 12, A))))
    driver.reset(5)
    driver.send(batch(episode(3, 3)[2:], 14, A))
    driver.commit()
    event = driver.emitted[-1].event
    assert isinstance(event, EpisodeFinalized)
    assert (event.complete, event.missing_from, event.missing_to) == (False, [12], [13])


def _value(one: StepBatch) -> bytes:
    return Codec().frame("steps", schema("StepBatch"), encode(one))


# --- what is written --------------------------------------------------------------------------------------------------


def _state(next_offset: int, *streams: StreamId, **kept: int) -> dict[bytes, bytes]:
    entries = {POSITION_KEY: SavedPosition(TOPIC, next_offset, 900).encode(), FENCE_KEY: b"token"}
    entries |= {str(stream).encode(): b"state" for stream in streams}
    return entries | {KEPT_PREFIX + f"run/{name}/1".encode(): str(until).encode() for name, until in kept.items()}


def _written(done: StateReset) -> dict[str, str | None]:
    return {c.key.decode(): None if c.value is None else c.value.decode() for c in done.changes}


def _position(offset: int, watermark_ms: int) -> dict[str, str | None]:
    return {POSITION_KEY.decode(): SavedPosition(TOPIC, offset, watermark_ms).encode().decode()}


LOG = [SeenRecord(10, 100, A), SeenRecord(11, 110, B), SeenRecord(12, 120, A, 5), SeenRecord(13, 130, C)]


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        pytest.param(11, {"run/b/1": None, "run/c/1": None, "\x00kept/run/a/1": "14"} | _position(11, 110), id="back"),
        pytest.param(14, _position(14, 900), id="where it is"),
        pytest.param(20, _position(20, 900), id="ahead"),
    ],
)
def test_what_a_reset_writes(to: int, expected: dict[str, str | None]) -> None:
    """Streams that begin there are deleted, those that cross it are kept, time goes back with the position."""
    assert _written(reset_state(_state(14, A, B, C), NewPosition(TOPIC, to, 10), LOG)) == expected


def test_a_stream_whose_beginning_was_deleted_is_kept() -> None:
    """The log begins at 10 with a record of A that is not its first: A cannot be computed anew."""
    log = [SeenRecord(10, 100, A, 3), *LOG[1:]]
    done = reset_state(_state(14, A, B), NewPosition(TOPIC, 10, 10), log)
    assert (done.anew, done.kept) == (2, 1)
    assert "run/a/1" not in _written(done)


def test_a_stream_that_was_sent_again_behind_the_position_is_kept() -> None:
    """Its first steps come once more behind the position: they alone would be a wrong stream."""
    log = [SeenRecord(10, 100, A), SeenRecord(11, 110, A, 5), SeenRecord(12, 120, A)]
    done = reset_state(_state(13, A), NewPosition(TOPIC, 11, 10), log)
    assert (done.anew, done.kept) == (0, 1)


def test_a_reset_within_a_reset_keeps_how_far_a_stream_goes() -> None:
    """The state of a stream that was kept goes further than the position that the app has come to since."""
    done = reset_state(_state(13, A, a=40), NewPosition(TOPIC, 11, 10), LOG[:3])
    assert "\x00kept/run/a/1" not in _written(done)
    assert _written(reset_state(_state(13, A, a=40), NewPosition(TOPIC, 10, 10), LOG[:3])) == {
        "run/a/1": None,
        "\x00kept/run/a/1": None,
    } | _position(10, 100)


def test_offset_0_reads_nothing_but_the_time_of_the_first_record() -> None:
    """Every stream begins behind offset 0, so all state goes and the log is not searched."""

    def first_only() -> list[SeenRecord]:
        return LOG[:1]

    done = reset_state(_state(14, A, B, a=9), NewPosition(TOPIC, 0, 0), iter(first_only()))
    assert _written(done) == {"run/a/1": None, "run/b/1": None, "\x00kept/run/a/1": None} | _position(0, 100)
    assert done.anew == 2


def test_the_state_of_a_topic_that_is_gone_is_deleted() -> None:
    """Its offsets mean nothing in the topic that has its name now."""
    done = reset_state(_state(14, A), NewPosition("another", 3, 0), [])
    assert done.changes[0].key == b"run/a/1"
    assert SavedPosition.decode(done.changes[-1].value or b"") == SavedPosition("another", 3, 0)


def test_no_state_is_a_position_alone() -> None:
    """An app that never ran begins where it was told."""
    assert _written(reset_state({}, NewPosition(TOPIC, 7, 0), LOG)) == _position(7, 0)


def test_a_record_is_seen_without_decoding_it() -> None:
    """The header says whose steps a record has and which is the first; what has none is no stream's."""
    assert seen(3, 77, _value(batch(episode(0, 2), 6, B))) == SeenRecord(3, 77, B, 6)
    for damaged in (None, b"", b"garbage", _value(batch(episode(0, 2), 6, B))[:12]):
        assert seen(3, 77, damaged) == SeenRecord(3, 77)

"""What a Reader refuses when it is made, and what it does before it connects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbus.config.errors import ConfigError
from runbus.kafka.model import TopicPartition
from runbus.kafka.settings import KafkaSettings
from runbus.reader import Offset, Reader, ReaderClosed, Seq
from runbus.reader.buffer import Buffer, Chunk
from runbus.reader.cursor import Handed, PartitionCursor
from runbus.reader.lag import measure
from runbus.reader.selection import Selection
from runbus.reader.start import check_start
from tests.unit.reader.fakes import PLACE, FakeRecord

NOWHERE = KafkaSettings("127.0.0.1:1")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": ""}, "reader name ''"),
        ({"name": "a b"}, "letters, digits"),
        ({"name": "a" * 101}, "1 to 100"),
        ({"instance": "0"}, "give it one"),
        ({"name": "a", "instance": "0/1"}, "instance '0/1'"),
        ({"start": "committed"}, "needs a cursor"),
        ({"start": "now"}, "committed, beginning, latest"),
        ({"start": datetime(2026, 1, 1)}, "has no time zone"),  # noqa: DTZ001 - that is the point
        ({"start": Offset(-1)}, "0 or more"),
        ({"start": Seq(5)}, "run= and agent="),
        ({"start": Seq(5), "run": "a", "agent": "b", "topics": ["steps", "runs"]}, "topics='steps'"),
        ({"topics": "step"}, "cannot be read"),
        ({"run": "a/b"}, "'/'"),
    ],
)
def test_what_cannot_work_is_refused_at_once(arguments: dict[str, Any], said: str) -> None:
    """Nothing is connected, and the text says what to give."""
    with pytest.raises(ConfigError, match=said):
        Reader(settings=NOWHERE, **arguments)


def test_a_reader_that_never_began_has_nothing_to_close_or_commit() -> None:
    """It is cheap to make, and connects at its first call only."""
    reader = Reader("gui-1", settings=NOWHERE)
    assert reader.commit() == {}
    assert (reader.positions, reader.stats()["events"]) == ({}, 0)
    reader.close()
    with pytest.raises(ReaderClosed):
        reader.poll(0)
    assert list(reader) == []


def test_its_group_cannot_be_that_of_a_process() -> None:
    """Whatever a person calls it."""
    reader = Reader("sink", settings=NOWHERE)
    assert reader._plan.membership.group == "runbus.reader.sink"


def test_long_ago_is_a_time() -> None:
    """Counted from when the reader is made."""
    selection = Selection("p.", ["steps"], None, None)
    found = check_start(timedelta(hours=1), selection, named=False)
    assert isinstance(found, datetime)
    assert timedelta(minutes=59) < datetime.now(UTC) - found < timedelta(minutes=61)


def test_lag_is_measured_from_the_next_record() -> None:
    """Its age if it waits; if nobody fetched it yet, since when it is known; nothing if there is none."""
    other, idle = TopicPartition("runbus.steps", 1), TopicPartition("runbus.steps", 2)
    cursors = [PartitionCursor(place, Handed(3), 3) for place in (PLACE, other, idle)]
    buffer, chunk = Buffer(1000), Chunk()
    chunk.add(cursors[0], FakeRecord(2, b"", time_ms=1))  # was returned
    chunk.add(cursors[0], FakeRecord(3, b"", time_ms=1_000))
    buffer.put(chunk)
    ends = {PLACE: 10, other: 5, idle: 3}
    lag = measure(cursors, ends, buffer)
    assert lag.events == 9
    assert lag.milliseconds == lag.partitions[PLACE].milliseconds > 1_700_000_000_000
    assert (lag.partitions[other].events, lag.partitions[other].milliseconds) == (2, 0)
    assert lag.partitions[idle] == (0, 0)
    cursors[1].behind_since_ms -= 500
    assert measure(cursors, ends, buffer).partitions[other].milliseconds >= 500
    measure(cursors, {**ends, other: 3}, buffer)
    assert cursors[1].behind_since_ms == 0

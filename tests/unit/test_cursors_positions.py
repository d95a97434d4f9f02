"""What is known of a position: lag that grows, what retention takes, who owns it."""

from __future__ import annotations

import pytest

from runbus.cursors.next_records import _rounds
from runbus.cursors.own_groups import Names
from runbus.cursors.positions import Cursor, GroupCursors
from runbus.kafka.groups import Group, GroupMember
from runbus.kafka.model import Lag, TopicPartition

AT, OTHER = TopicPartition("runbus.steps", 0), TopicPartition("runbus.steps", 1)
NOW = 1_000_000


def test_lag_is_what_is_left_and_the_age_of_the_first_of_it() -> None:
    """It grows while nothing moves, and is nothing where nothing can be read."""
    cursor = Cursor(AT, 4, None, 0, 10, next_ms=NOW - 500)
    assert cursor.lag(NOW) == Lag(6, 500)
    assert cursor.lag(NOW + 1000) == Lag(6, 1500)
    assert Cursor(AT, 10, None, 0, 10).lag(NOW) == Lag(0, 0)
    assert Cursor(AT, 9, None, 0, 10, next_ms=None).lag(NOW) == Lag(0, 0)  # a transaction's marker is no record
    assert Cursor(AT, 4, None, 0, 10, next_ms=NOW + 9).lag(NOW) == Lag(6, 0)  # a producer's clock is ahead


def test_a_group_without_a_position_begins_where_the_log_does() -> None:
    """So all of it is left."""
    assert Cursor(AT, None, None, 3, 10, next_ms=NOW).lag(NOW) == Lag(7, 0)


@pytest.mark.parametrize(("committed", "deleted"), [(None, 0), (3, 4), (7, 0), (9, 0)])
def test_what_was_deleted_unread(committed: int | None, deleted: int) -> None:
    """Offsets between the committed one and the beginning of the log."""
    assert Cursor(AT, committed, None, 7, 10).deleted == deleted


@pytest.mark.parametrize(
    ("next_ms", "retention_ms", "left", "danger"),
    [
        (NOW - 100, 1000, 900, False),
        (NOW - 900, 1000, 100, True),
        (NOW - 1500, 1000, -500, True),
        (NOW - 900, -1, None, False),
        (None, 1000, None, False),
    ],
)
def test_retention_is_near_before_it_comes(
    next_ms: int | None, retention_ms: int, left: int | None, danger: bool
) -> None:
    """The last fifth of a record's time is danger; records that stay for ever are in none."""
    cursor = Cursor(AT, 1, None, 0, 10, next_ms, retention_ms)
    assert (cursor.kept_ms(NOW), cursor.in_danger(NOW)) == (left, danger)


def test_a_group_adds_up_its_partitions() -> None:
    """Records are added, of the ages the oldest counts; each partition has its owner."""
    member = GroupMember("m", "c", "h", "", frozenset({AT}))
    cursors = (Cursor(AT, 4, None, 0, 10, NOW - 5), Cursor(OTHER, None, None, 0, 2, NOW - 70))
    found = GroupCursors(Group("g", "stable", "classic", (member,)), "user", cursors)
    assert (found.lag(NOW), found.committed) == (Lag(8, 70), 1)
    assert [found.owner(cursor) for cursor in cursors] == [member, None]


def test_places_are_looked_at_in_rounds_that_have_each_partition_once() -> None:
    """Two groups at one place are one question; two places of one partition are two rounds."""
    assert list(_rounds([(AT, 7), (AT, 3), (OTHER, 1), (AT, 3)])) == [{AT: 3, OTHER: 1}, {AT: 7}]
    assert list(_rounds([])) == []


def test_the_names_of_an_installation() -> None:
    """Its groups and topics by prefix; the sink's group may have a name of its own."""
    names = Names("lab.", "stores")
    assert names.own_groups() == ("stores", "lab.episodes", "lab.live-metrics")
    assert [names.kind(name) for name in ("stores", "lab.episodes", "lab.sink")] == ["sink", "episodes", "user"]
    assert names.read_by("lab.live-metrics") == ("lab.steps",)
    assert "lab.dead-letters" in names.read_by("stores")
    assert "lab.episodes-state-changelog" not in names.readable()
    assert names.topic("steps") == names.topic("lab.steps") == "lab.steps"

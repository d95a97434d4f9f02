"""What is wrong with a group, by what the broker says of it: each rule, and what is an alarm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from runbus.cursors.own_groups import Kind
from runbus.cursors.positions import Cursor, GroupCursors
from runbus.kafka.groups import Group, GroupMember
from runbus.kafka.model import TopicPartition
from runbus.watchdog.findings import State, WatchFinding
from runbus.watchdog.groups import GroupView, GroupWatch, Look
from runbus.watchdog.positions import Rules

AT, OTHER = TopicPartition("runbus.steps", 0), TopicPartition("runbus.steps", 1)
NOW_MS = 1_000_000_000
PATIENCE_S = 30.0
WEEK_MS = 7 * 24 * 3600 * 1000
MEMBER = GroupMember("m", "c", "h", "", frozenset({AT}))


def cursor(committed: int = 5, end: int = 9, **other: int) -> Cursor:
    """Return a position in AT whose next record is a second old."""
    next_ms = NOW_MS - 1000 if committed < end else None
    made = Cursor(AT, committed, None, 0, end, next_ms, WEEK_MS)
    return replace(made, **other)  # type: ignore[arg-type] # only numbers


def group(
    *cursors: Cursor, kind: Kind = "sink", members: Sequence[GroupMember] = (MEMBER,), state: str = "stable"
) -> GroupCursors:
    """Return a group with these positions."""
    return GroupCursors(Group("g", state, "classic", tuple(members)), kind, cursors)


class Watched:
    """A watch that looks twice a second."""

    def __init__(self) -> None:
        self.watch = GroupWatch(PATIENCE_S)
        self.at = 0.0

    def look(self, found: GroupCursors, times: int = 1, *, lives: bool | None = True) -> list[WatchFinding]:
        """Look some times at the same; return what is wrong after the last."""
        findings: list[WatchFinding] = []
        for _ in range(times):
            self.at += 0.5
            self.views, findings = self.watch.look(Look(self.at, NOW_MS, (found,)), lambda _kind, _at: lives)
        return findings

    views: list[GroupView]


@pytest.fixture
def watched() -> Watched:
    """Return a watch that has seen nothing."""
    return Watched()


def test_a_group_that_keeps_up_is_in_short(watched: Watched) -> None:
    """Its lag is the broker's."""
    assert watched.look(group(cursor())) == []
    (view,) = watched.views
    assert (view.group, view.kind, view.state, view.members) == ("g", "sink", State.OK, 1)
    assert (view.partitions, view.owned, view.lag_events, view.lag_ms) == (1, 1, 4, 1000)


def test_a_group_that_was_never_there_is_not_shown(watched: Watched) -> None:
    """Nobody runs that process here: it is not missed."""
    missing = Cursor(AT, None, None, 0, 9, NOW_MS)
    assert watched.look(group(missing, members=(), state="missing"), 20) == []
    assert watched.views == []


@pytest.mark.parametrize(("lives", "state"), [(True, State.STALL), (None, State.STALL), (False, State.STOP)])
def test_one_that_stands_still(watched: Watched, lives: bool | None, state: State) -> None:
    """Whether it lives say the heartbeats, and where there are none, its membership."""
    (found,) = watched.look(group(cursor()), 10, lives=lives)
    assert (found.subject, found.what, found.state, found.hold_s) == ("group g", "still", state, PATIENCE_S)
    assert "runbus.steps:0" in found.text
    assert watched.views[0].state is state


def test_what_cannot_be_read_is_not_left(watched: Watched) -> None:
    """Behind the last record there may be markers of transactions only."""
    assert watched.look(group(cursor(next_ms=None)), 20) == []  # type: ignore[arg-type]


def test_after_an_outage_nobody_has_stood_still(watched: Watched) -> None:
    """Nobody saw what happened meanwhile."""
    watched.look(group(cursor()), 10)
    watched.watch.forget()
    assert watched.look(group(cursor())) == []


@pytest.mark.parametrize("state", ["stable", "empty"])
def test_a_partition_without_an_owner(watched: Watched, state: str) -> None:
    """Also if nothing is left to read: nobody will. It is not said twice."""
    unowned = replace(cursor(9, 9), at=OTHER)
    (found,) = watched.look(group(cursor(9, 9), unowned, state=state))
    assert (found.what, found.state, found.hold_s) == ("no owner", State.STOP, PATIENCE_S)
    assert str(OTHER) in found.text
    found_later = watched.look(group(replace(unowned, end=11, next_ms=NOW_MS), state=state), 10)
    assert [finding.what for finding in found_later] == ["no owner"]


def test_while_a_group_rebalances_nobody_owns_anything(watched: Watched) -> None:
    """That is no finding."""
    assert watched.look(group(cursor(9, 9), members=(), state="preparing rebalance")) == []


def test_a_rewind_is_an_alarm_at_once(watched: Watched) -> None:
    """Somebody moved the group."""
    watched.look(group(cursor(9, 9)))
    (found,) = watched.look(group(cursor(2, 9)))
    assert (found.what, found.state, found.hold_s) == ("rewind", State.REWIND, 0.0)


def test_falling_behind_is_said_once_it_is_more_than_a_burst(watched: Watched) -> None:
    """By the age of what is left."""
    burst = [group(cursor(n, 9 + 3 * n)) for n in range(9)]
    assert [finding for found in burst for finding in watched.look(found)] == []
    (found,) = watched.look(group(cursor(9, 40, next_ms=NOW_MS - 9000)))
    assert (found.what, found.state, found.hold_s) == ("behind", State.WARN, None)


def test_retention_is_announced_before_it_takes_something(watched: Watched) -> None:
    """By the age of what is next, and by how much the last deletion took."""
    (found,) = watched.look(group(cursor(next_ms=NOW_MS - WEEK_MS + 3600_000)))
    assert (found.what, found.state, found.hold_s) == ("retention", State.WARN, 0.0)
    by_size = Watched()
    assert by_size.look(group(cursor(25, 99))) == []
    assert by_size.look(group(cursor(26, 99, beginning=10))) == []
    (found,) = by_size.look(group(cursor(27, 99, beginning=20)))
    assert found.what == "retention"
    (found,) = by_size.look(group(cursor(28, 99, beginning=30)))
    assert (found.what, found.hold_s) == ("deleted", 0.0)
    assert "lost 2 records" in found.text


def test_a_group_of_a_user_is_shown_and_never_an_alarm(watched: Watched) -> None:
    """A report that runs once a day leaves a group that lags all night."""
    found = watched.look(group(cursor(), kind="user", members=(), state="empty"), 20, lives=None)
    assert [(finding.what, finding.state, finding.hold_s) for finding in found] == [("still", State.STOP, None)]


def test_who_is_looked_at_rarely_is_judged_later() -> None:
    """By rules that go with it: every half minute is no gap in the looking."""
    watch = GroupWatch(PATIENCE_S, Rules(still=55.0, still_most=300.0, unseen=95.0))
    one = group(cursor(), kind="user", members=(), state="empty")
    said = [watch.look(Look(30.0 * n, NOW_MS, (one,)), lambda _kind, _at: None)[1] for n in range(3)]
    assert [len(findings) for findings in said] == [0, 0, 1]


def test_a_sentence_names_three_partitions(watched: Watched) -> None:
    """However many there are."""
    many = [replace(cursor(9, 9), at=TopicPartition("t", n)) for n in range(9)]
    (found,) = watched.look(group(*many))
    assert found.text == "nobody reads t:0, t:1, t:2 and 6 more"

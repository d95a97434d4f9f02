"""What a reset refuses before it writes anything: members, and ranges of the sink that are announced."""

from __future__ import annotations

import pytest

from runbus.config.errors import RunBusError
from runbus.cursors.own_groups import Kind
from runbus.cursors.positions import Cursor
from runbus.cursors.reset import Move, ResetPlan, check
from runbus.kafka.commit_metadata import Intent
from runbus.kafka.groups import Group, GroupMember
from runbus.kafka.lone_commit import GroupActive
from runbus.kafka.model import TopicPartition

AT = TopicPartition("runbus.steps", 0)


def _plan(cursor: Cursor, kind: Kind = "sink", members: tuple[GroupMember, ...] = ()) -> ResetPlan:
    return ResetPlan(Group("g", "stable" if members else "empty", "classic", members), kind, (Move(cursor, 0),))


def test_members_are_named() -> None:
    """Two processes on one machine are named once."""
    members = tuple(GroupMember(name, "runbus-sink", "10.0.0.7", "", frozenset()) for name in "ab")
    with pytest.raises(GroupActive, match=r"g has 2 members \(runbus-sink on 10\.0\.0\.7\): stop its processes"):
        check(_plan(Cursor(AT, 5, None, 0, 10), members=members))


@pytest.mark.parametrize(
    ("cursor", "kind", "refused"),
    [
        pytest.param(Cursor(AT, 5, Intent("id", 8), 0, 10), "sink", True, id="it may come at any time"),
        pytest.param(Cursor(AT, 5, Intent("id", 8), 8, 10), "sink", True, id="a part of it is in the log"),
        pytest.param(Cursor(AT, 5, Intent("id"), 0, 10), "sink", False, id="nothing is announced"),
        pytest.param(Cursor(AT, 5, None, 0, 10), "sink", False, id="another tool committed"),
        pytest.param(Cursor(AT, 5, Intent("id", 8), 9, 10), "sink", False, id="retention took all of it"),
        pytest.param(Cursor(AT, 15, Intent("id", 18), 0, 10), "sink", False, id="the broker lost it"),
        pytest.param(Cursor(AT, 5, Intent("id", 8), 0, 10), "user", False, id="metadata of somebody else"),
    ],
)
def test_an_announced_range_is_not_forgotten(cursor: Cursor, kind: Kind, refused: bool) -> None:
    """Only a range that a sink can still store, from the log, holds a reset up."""
    if not refused:
        check(_plan(cursor, kind))
        return
    with pytest.raises(RunBusError, match=r"the sink announced runbus\.steps:0 5-8 and did not say that it is stored"):
        check(_plan(cursor, kind))

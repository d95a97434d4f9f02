"""What `runbus cursors` prints is text, whatever groups and clients are called, and exact as JSON."""

from __future__ import annotations

import json

import pytest

from runbus.cli.cursors import _partition_row, _position, _print_moves, _retention, _row, _summary
from runbus.cli.output import print_json, print_table
from runbus.cursors.positions import Cursor, GroupCursors
from runbus.cursors.reset import Move, ResetPlan
from runbus.kafka.commit_metadata import Intent
from runbus.kafka.groups import Group, GroupMember
from runbus.kafka.model import TopicPartition

HOSTILE = "g\x1b]0;t\x07\n\u202e"
AT = TopicPartition("runbus.steps", 0)
NOW = 1_000_000_000
CURSOR = Cursor(AT, 4, Intent("id", 7), 0, 10, NOW - 500, -1)
MEMBER = GroupMember(HOSTILE, HOSTILE, HOSTILE, "", frozenset({AT}))
FOUND = GroupCursors(Group(HOSTILE, "stable", "consumer", (MEMBER,)), "user", (CURSOR,))


def test_names_of_others_are_escaped_and_json_is_exact(capsys: pytest.CaptureFixture[str]) -> None:
    """Anybody may join a group under any name."""
    print_table(("GROUP",) * 10, [_row(FOUND, NOW)])
    print_table(("PARTITION",) * 9, [_partition_row(FOUND, CURSOR, NOW)])
    shown = capsys.readouterr().out
    assert not set("\x1b\x07\u202e") & set(shown)
    assert shown.count("\\x1b]0;t\\x07\\n\\u202e") == 4
    print_json(_summary(FOUND, NOW) | _position(FOUND, CURSOR, NOW))
    printed = json.loads(capsys.readouterr().out)
    assert (printed["group"], printed["owner"]["client_id"]) == (HOSTILE, HOSTILE)
    assert (printed["announced"], printed["lag_events"], printed["lag_ms"]) == ([4, 7], 6, 500)


@pytest.mark.parametrize(
    ("beginning", "next_ms", "shown"),
    [
        (0, NOW, ""),
        (9, NOW, "5 deleted unread"),
        (0, NOW - 9_000_000, "deletes unread in 16 min"),
        (0, NOW - 11_000_000, "deletes unread now"),
    ],
)
def test_retention_in_words(beginning: int, next_ms: int, shown: str) -> None:
    """What it took, what it takes soon, and nothing while all is safe."""
    assert _retention(Cursor(AT, 4, None, beginning, 10, next_ms, 10_000_000), NOW) == shown


def test_moves_say_which_way_they_go(capsys: pytest.CaptureFixture[str]) -> None:
    """Back is read again, ahead is skipped; what became of the state stands beside it."""
    cursors = [Cursor(TopicPartition("t", n), committed, None, 0, 9000) for n, committed in enumerate((2000, None, 5))]
    plan = ResetPlan(FOUND.group, "user", tuple(map(Move, cursors, (0, 1234, 5))))
    _print_moves(plan, {cursors[0].at: "3 streams anew, 1 kept"}, as_json=False)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows[0] == ["t:0", "2000", "0", "2,000", "read", "again", "3", "streams", "anew,", "1", "kept"]
    assert rows[1] == ["t:1", "1234", "1,234", "skipped"]
    assert rows[2] == ["t:2", "5", "5", "none"]
    _print_moves(plan, {}, as_json=True)
    assert json.loads(capsys.readouterr().out)[1] == {
        "topic": "t",
        "partition": 1,
        "before": None,
        "after": 1234,
        "state": "",
    }

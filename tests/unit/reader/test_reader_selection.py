"""Which records a reader wants, by their keys, and in which partitions they can be."""

from __future__ import annotations

import pytest

from runbus.config.errors import ConfigError
from runbus.kafka.partitioner import partition_of
from runbus.kafka.topics import stream_key
from runbus.reader.selection import Selection


@pytest.mark.parametrize(
    ("run", "agent", "key", "wanted"),
    [
        (None, None, b"anything", True),
        ("a", None, b"a/x", True),
        ("a", None, b"ab/x", False),
        ("a*", None, b"ab/x", True),
        ("a*", None, b"b/x", False),
        ("a", "x", b"a/x", True),
        ("a", "x", b"a/x/17", True),
        ("a", "x", b"a/xy", False),
        (None, "x?", b"a/xy", True),
        ("[ab]", None, b"b/x", True),
        ("a.c", None, b"abc/x", False),
        ("größer*", None, "größer 7/x".encode(), True),
        ("a", None, b"", False),
        ("a", None, b"\xff\xfe", False),
    ],
)
def test_the_key_decides(run: str | None, agent: str | None, key: bytes, wanted: bool) -> None:
    """Names are whole names, patterns are the shell's; a record without a run is of none."""
    selection = Selection("p.", ["steps"], run, agent)
    assert selection.wants(key) is wanted
    assert selection.wants(key) is wanted  # what is remembered is the same


def test_one_agent_is_in_one_partition_of_the_topics_that_are_keyed_so() -> None:
    """`runs` has the attempt in its key: each of its partitions can have the agent's events."""
    selection = Selection("p.", ["steps", "episodes", "runs"], "run-1", "agent-0")
    only = partition_of(stream_key("run-1", "agent-0"), 8)
    assert list(selection.partitions("p.steps", 8)) == [only]
    assert list(selection.partitions("p.episodes", 8)) == [only]
    assert list(selection.partitions("p.runs", 8)) == list(range(8))


@pytest.mark.parametrize(("run", "agent"), [("run-1", None), (None, "a"), ("run-*", "a"), ("run-1", "a?")])
def test_anything_else_can_be_anywhere(run: str | None, agent: str | None) -> None:
    """The agents of a run are spread over the partitions."""
    assert list(Selection("p.", ["steps"], run, agent).partitions("p.steps", 3)) == [0, 1, 2]


def test_many_keys_are_not_kept_for_ever() -> None:
    """Memory stays bounded whatever comes."""
    selection = Selection("p.", ["steps"], "run-1", None)
    for number in range(25_000):
        assert not selection.wants(b"other/%d" % number)
    assert len(selection._known) <= 10_000


@pytest.mark.parametrize(
    ("topics", "run", "said"),
    [
        ([], None, "no topic is named"),
        (["stepz"], None, "there are .*steps"),
        (["dead-letters"], None, "cannot be read"),
        (["heartbeats"], "run-1", "has no runs"),
        (["steps"], "a/b", "'/'"),
        (["steps"], "", "run_id is empty"),
    ],
)
def test_what_cannot_be_read_is_refused(topics: list[str], run: str | None, said: str) -> None:
    """At once, and the text says what there is."""
    with pytest.raises(ConfigError, match=said):
        Selection("p.", topics, run, None)

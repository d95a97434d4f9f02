"""Whose dead letter it is, and of which record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest
from confluent_kafka import Message

from runbus.audit.dead_letters import source
from runbus.kafka.model import DeadLetter, Record, TopicIdPartition


@dataclass
class Letter:
    """A record of the topic `dead-letters`, as far as its headers."""

    found: Any

    def headers(self) -> Any:
        """Return the headers."""
        return self.found


def position(headers: Any) -> tuple[str, int, int] | None:
    """Return what `source` finds."""
    return source(cast("Message", Letter(headers)))


def test_a_letter_of_the_sink_names_its_record() -> None:
    """Topic id, partition and offset come from the headers that the sink writes."""
    letter = DeadLetter("sink", TopicIdPartition("steps", "topic-id", 3), Record(17, 0, b"x"), "why", "")
    assert position(list(letter.headers)) == ("topic-id", 3, 17)


def test_a_letter_of_a_stream_app_says_nothing_about_the_sink() -> None:
    """A record that the episodes app could not use may well be stored: it must not excuse a missing row."""
    letter = DeadLetter("episodes", TopicIdPartition("steps", "topic-id", 3), Record(17, 0, b"x"), "too late", "")
    assert dict(letter.headers)["topic_id"] == b"topic-id"
    assert position(letter.headers) is None


@pytest.mark.parametrize(
    "headers",
    [None, [], [("topic", b"steps"), ("run_id", b"r")], [("topic_id", b"t"), ("partition", b"x"), ("offset", None)]],
)
def test_other_letters_are_of_no_record(headers: Any) -> None:
    """The recorder's have no position, and another program may write anything."""
    assert position(headers) is None


def test_a_letter_whose_headers_the_client_cannot_read_is_of_no_record() -> None:
    """A header's name that is not UTF-8 ends no audit: such a letter is another program's."""

    class Unreadable:
        def headers(self) -> Any:
            raise SystemError

    assert source(cast("Message", Unreadable())) is None

"""The same message again and again is said now and then."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from runbus.streams.repeated_log import EVERY_S, RepeatedLogHandler, log_seldom


@dataclass
class Said(logging.Handler):
    """What reaches the root logger's handlers; the time of the messages."""

    now: float = 0.0
    records: list[logging.LogRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    __hash__ = logging.Handler.__hash__

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)

    @property
    def texts(self) -> list[str]:
        """What was said."""
        return [record.getMessage() for record in self.records]


@pytest.fixture
def said() -> Iterator[Said]:
    """Yield what listens at the root, while the logger `a.client` says the same seldom.

    Not pytest's own: that listens at every logger that does not propagate as well.
    """
    said, root, client = Said(), logging.getLogger(), logging.getLogger("a.client")
    messages = RepeatedLogHandler(lambda: said.now)
    root.addHandler(said)
    client.addHandler(messages)
    client.propagate = False
    yield said
    client.propagate = True
    client.removeHandler(messages)
    root.removeHandler(said)


CLIENT = logging.getLogger("a.client.of.kafka")


def test_the_same_message_is_said_once(said: Said) -> None:
    """Other values make no other message; after a while it is said again, with how many were left out."""
    for node in range(500):
        CLIENT.error("no connection to node %s", node)
    assert said.texts == ["no connection to node 0"]
    said.now = EVERY_S
    CLIENT.error("no connection to node %s", 7)
    CLIENT.error("no connection to node %s", 8)
    assert said.texts[1:] == ["no connection to node 7 (and 499 more like it)"]


def test_other_messages_are_said_at_once(said: Said) -> None:
    """Another text, or the same of another logger, is another message; each keeps its logger's name."""
    CLIENT.error("no connection to node %s", 1)
    CLIENT.error("no answer from node %s", 1)
    logging.getLogger("a.client.else").error("no connection to node %s", 1)
    assert [record.name for record in said.records] == ["a.client.of.kafka"] * 2 + ["a.client.else"]


def test_what_is_remembered_is_bounded(said: Said) -> None:
    """Texts that were formatted before they were logged are all different: they are said, and forgotten."""
    for number in range(1000):
        CLIENT.error(f"no connection {number}")
    assert len(said.texts) == 1000


def test_a_logger_is_made_to_say_the_same_seldom(said: Said) -> None:
    """One call does it, for a logger and those below it."""
    log_seldom("another.client")
    for _ in range(3):
        logging.getLogger("another.client.below").warning("again")
    assert said.texts == ["again"]

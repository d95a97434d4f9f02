"""Defines what a reader raises. Each is one line that says what to do; what Kafka refuses is in runbus.kafka.errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbus.config.errors import RunBusError

if TYPE_CHECKING:
    from runbus.reader.events import Unreadable


class ReaderClosed(RunBusError):
    """The reader was closed: it has nothing to hand out any more."""


class ReaderForked(RunBusError):
    """The reader was begun by another process, and its connection stayed there."""


class TakenOver(RunBusError):
    """Another reader has this one's name and instance now: it goes on at the cursor."""


class CursorNotSaved(RunBusError):
    """A commit was not carried out, or nobody knows: what was returned since the one before may come again."""


class UnreadableRecord(RunBusError):
    """A record that nobody can decode, with `on_unreadable="raise"`; the next call goes on behind it."""

    def __init__(self, event: Unreadable) -> None:
        super().__init__(f"{event.at}: {event.reason}")
        self.event = event

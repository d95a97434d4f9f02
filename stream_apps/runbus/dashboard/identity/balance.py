"""Decides for one stream whether everything is accounted for, without ever comparing two moments. Pure.

A heartbeat says what a recorder had produced, delivered and dropped at one moment. What was delivered by then lies
below the end that the partition has a little later: a **fence**. Once ClickHouse has everything below the fence, the
rows of the steps that were produced by that moment are counted, and no others. So all numbers are of the moment of the
heartbeat, however long the sink needs.

What the recorder still had in its hands at that moment may have arrived since, or not: in between everything is in
order. Less than what was delivered is missing. That a step is missing, or there twice, is said after two fences: a row
that is late by a moment is no loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from runbus.kafka.model import StreamId, TopicPartition

State = Literal["true", "moving", "false"]
Fence = Mapping[TopicPartition, int]


@dataclass(frozen=True, slots=True)
class Said:
    """What a recorder said of a stream.

    Attributes:
        at: when, microseconds since the epoch.
        produced: steps that it had taken, which is the next `seq`.
        delivered: those that the broker had acknowledged.
        dropped: those that it had given up.
        ended: it was its last word.
    """

    at: int
    produced: int
    delivered: int
    dropped: int
    ended: bool = False

    @property
    def in_hand(self) -> int:
        """Steps that it still had."""
        return max(0, self.produced - self.delivered - self.dropped)


@dataclass(frozen=True, slots=True)
class Counted:
    """What ClickHouse has of the steps `seq` in [first, produced).

    Attributes:
        rows: stored.
        steps: different ones.
        dead: in records that could not be stored.
    """

    rows: int
    steps: int
    dead: int


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums of one moment: produced = stored + dropped + in_flight + dead_letters + missing - duplicates."""

    at: int
    produced: int
    stored: int
    dropped: int
    in_flight: int
    dead_letters: int
    missing: int
    duplicates: int

    @property
    def sound(self) -> bool:
        """Whether nothing is missing and nothing is there twice."""
        return not self.missing and not self.duplicates


def sums(said: Said, counted: Counted, before: Sums | None = None) -> Sums:
    """Return the sums at the moment of what was said.

    Args:
        said: by the recorder.
        counted: by ClickHouse, behind the fence of that moment.
        before: the sums of all earlier steps, if only the later ones were counted.
    """
    steps = counted.steps + (before.stored if before else 0)
    dead = counted.dead + (before.dead_letters if before else 0)
    dropped = min(said.dropped, said.produced - steps)  # one that was given up may have arrived all the same
    open_ = max(0, said.produced - dropped - steps)
    dead = min(dead, open_)  # a retry may have stored some
    in_flight = min(open_ - dead, said.in_hand)
    duplicates = counted.rows - counted.steps
    return Sums(
        at=said.at,
        produced=said.produced,
        stored=steps + duplicates,
        dropped=dropped,
        in_flight=in_flight,
        dead_letters=dead,
        missing=open_ - dead - in_flight,
        duplicates=duplicates,
    )


class StreamBalance:
    """The checks of one stream, one after the other.

    Args:
        stream: whose.
    """

    def __init__(self, stream: StreamId) -> None:
        self.stream = stream
        #: The sums of the newest moment that was decided.
        self.sums: Sums | None = None
        #: The steps below it are settled for good, and are not counted again.
        self.settled: Sums | None = None
        self.said: Said | None = None
        self.fence: Fence = {}
        self._false = 0
        self._final = False

    @property
    def wants(self) -> bool:
        """Whether the next word of the recorder is to be checked."""
        return self.said is None and not self._final

    @property
    def first(self) -> int:
        """The first `seq` to count."""
        return 0 if self.settled is None else self.settled.produced

    def begin(self, said: Said, fence: Fence) -> None:
        """Check a moment once everything below the fence is stored."""
        self.said, self.fence = said, fence

    def to_go(self, below: Mapping[TopicPartition, int]) -> int:
        """Return how many records stand between what is stored and the fence."""
        return sum(max(0, offset - below.get(at, 0)) for at, offset in self.fence.items())

    def decide(self, counted: Counted) -> None:
        """Take what was counted behind the fence."""
        assert self.said is not None
        found = sums(self.said, counted, self.settled)
        self._false = 0 if found.sound else self._false + 1
        self.sums = found
        if not found.sound:
            self.settled = None  # all of it is counted again
        elif not found.in_flight:
            self.settled = found
        self._final = self.said.ended and (found.sound or self._false > 1)
        self.said, self.fence = None, {}

    def state(self, now_us: int, patience_us: int) -> State:
        """Return how it stands: a moment that is decided holds until the next one takes longer than a little while."""
        if self._false > 1:
            return "false"
        if self.sums is None or self._false:
            return "moving"
        waits = self.said is not None and now_us - self.said.at > patience_us
        return "moving" if waits and not self._final else "true"

    @property
    def final(self) -> bool:
        """Whether the stream has ended and its last word was checked."""
        return self._final

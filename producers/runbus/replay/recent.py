"""Finds the newest lines of some topics, and goes on from there: what `tail` does with a file.

A record of steps has many lines, and most records may be of other runs, so each partition is read from ever further
back until it has enough of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from runbus.kafka.model import TopicPartition
from runbus.kafka.principals import READERS
from runbus.kafka.topic_log import open_topic
from runbus.reader import LogEvent, Reader
from runbus.reader.selection import Selection
from runbus.reader.settings import ReaderSettings
from runbus.reader.start import Start

T = TypeVar("T")
_FIRST_WINDOW = 64  # offsets
_WIDER = 8  # so much further back each time
_WAIT_S = 0.2


class LogWindow:
    """Where the partitions of some topics begin and end now.

    Args:
        settings: of the broker.
        topics: without the prefix.
        run, agent: as a Reader takes them.

    Attributes:
        bounds: partition -> first offset, and where reading ends now; of those that can hold what is wanted.

    Raises:
        ConfigError: a topic, run or agent that cannot be read.
        RunBusError: the log cannot be read.
    """

    def __init__(self, settings: ReaderSettings, topics: Iterable[str], run: str | None, agent: str | None) -> None:
        self._settings = settings
        self._topics, self._run, self._agent = list(topics), run, agent
        prefix = settings.kafka.topic_prefix
        selection = Selection(prefix, self._topics, run, agent)
        self.bounds: dict[TopicPartition, tuple[int, int]] = {}
        for name in selection.topics:
            with open_topic(settings.kafka, name.removeprefix(prefix), prefix + READERS) as log:
                for partition in selection.partitions(name, len(log.partitions)):
                    self.bounds[TopicPartition(name, partition)] = log.bounds(partition)

    @property
    def ends(self) -> dict[TopicPartition, int]:
        """Where reading ended."""
        return {at: end for at, (_, end) in self.bounds.items()}

    def reader(self, start: Start | None = None) -> Reader:
        """Return a reader of the same that begins there; default: where reading ended."""
        return Reader(
            topics=self._topics,
            run=self._run,
            agent=self._agent,
            start=self.ends if start is None else start,
            settings=self._settings,
        )

    def between(self, start: dict[TopicPartition, int]) -> Iterator[LogEvent]:
        """Yield what is from some offsets on, up to where reading ended."""
        yield from until_ends(self.reader(start), self.ends)

    def newest(self, lines: Callable[[LogEvent], Iterator[T]], count: int) -> list[Newest[T]]:
        """Return the last `count` lines of each partition, or all that it has; `lines` makes those of an event."""
        found: dict[TopicPartition, Newest[T]] = {at: Newest(count) for at in self.bounds}
        starts = {at: max(low, end - _FIRST_WINDOW) for at, (low, end) in self.bounds.items()}
        while starts:
            ends = {at: self.bounds[at][1] for at in starts}
            for at in starts:
                found[at] = Newest(count)
            for event in until_ends(self.reader(starts), ends):
                place = TopicPartition(event.at.topic, event.at.partition)
                if place in starts:
                    found[place].lines.extend(lines(event))
            starts = {
                at: max(self.bounds[at][0], end - (end - starts[at]) * _WIDER)
                for at, end in ends.items()
                if starts[at] > self.bounds[at][0] and not found[at].full
            }
        return list(found.values())


class Newest(Generic[T]):
    """The last lines of one partition."""

    def __init__(self, count: int) -> None:
        self.lines: deque[T] = deque(maxlen=count)

    @property
    def full(self) -> bool:
        """Whether there are as many as were wanted."""
        return len(self.lines) == self.lines.maxlen


def until_ends(reader: Reader, ends: dict[TopicPartition, int]) -> Iterator[LogEvent]:
    """Yield the events below `ends` of a reader that begins before them, then close it. What comes later is left."""
    with reader:
        while True:
            event = reader.poll(_WAIT_S)
            end = -1 if event is None else ends.get(TopicPartition(event.at.topic, event.at.partition), 0)
            if event is not None and event.at.offset < end:
                yield event
            if event is None or event.at.offset + 1 >= end:  # what comes later may come for ever
                positions = reader.positions
                if all(positions.get(at, -1) >= until for at, until in ends.items()):
                    return

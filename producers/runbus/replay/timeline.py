"""Reads a run again in the order of its wall times: the begin of each stream, its steps, its end.

Within a stream the order is that of the log. Between streams it is that of the agents' clocks.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
from confluent_kafka import Message

from runbus.kafka.model import StreamId
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_log import open_topic
from runbus.kafka.topics import RUNS, STEPS
from runbus.reader.events import At, LogEvent, RunFinished, RunStarted, located
from runbus.reader.steps import Steps
from runbus.replay.errors import RunChanged
from runbus.replay.run_index import EntryReader, Lane, RunIndex
from runbus.schemas.batch import StepBatch, decode
from runbus.schemas.codec import Codec
from runbus.schemas.events import RunEvent


@dataclass(frozen=True, slots=True)
class Span:
    """The part of a run that is replayed: steps whose wall time is in [begin_us, until_us); None = no bound."""

    begin_us: int | None = None
    until_us: int | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return self.begin_us is None and self.until_us is None

    def of(self, batch: StepBatch) -> StepBatch | None:
        """Return the steps of a batch that are in it, from the first to the last of them; None = none is."""
        if self.whole:
            return batch
        ts = batch.columns.ts
        inside = np.ones(len(ts), np.bool_)
        if self.begin_us is not None:
            inside &= ts >= self.begin_us
        if self.until_us is not None:
            inside &= ts < self.until_us
        rows = np.flatnonzero(inside)
        if not len(rows):
            return None
        return batch if len(rows) == len(ts) else batch.slice(int(rows[0]), int(rows[-1]) + 1)


@dataclass(frozen=True, slots=True)
class StreamBegins:
    """A stream begins: nothing of it came before."""

    at_us: int
    stream: StreamId
    event: RunEvent


@dataclass(frozen=True, slots=True)
class StepsAgain:
    """One record of steps.

    Attributes:
        at_us: wall time of its first step.
        at: where it lies.
        message: the record itself.
        batch: its steps, as far as they are in the span.
    """

    at_us: int
    stream: StreamId
    at: At
    message: Message
    batch: StepBatch


@dataclass(frozen=True, slots=True)
class StreamEnds:
    """A stream ends: nothing of it comes any more.

    Attributes:
        event: its newest one on `runs`; STARTED if it had not ended when it was indexed.
    """

    at_us: int
    stream: StreamId
    event: RunEvent


Moment = StreamBegins | StepsAgain | StreamEnds


def event_of(moment: Moment) -> LogEvent:
    """Return a moment as a reader would hand it out. What `runs` had is at the place of no record any more."""
    if isinstance(moment, StepsAgain):
        return Steps(moment.at, moment.batch)
    nowhere = At(RUNS.name, -1, -1, moment.at_us // 1000, b"")
    if isinstance(moment, StreamBegins):
        return located(replace(moment.event, kind="STARTED"), RunStarted, nowhere)
    return located(moment.event, RunFinished, nowhere)


class Timeline:
    """The moments of a run.

    Args:
        settings: of the broker.
        codec: of the values.
        index: where the steps are.
        span: which of them.
    """

    def __init__(self, settings: KafkaSettings, codec: Codec, index: RunIndex, span: Span) -> None:
        self._settings = settings
        self._codec = codec
        self._index = index
        self._span = span
        streams = {entry.stream for lane in index.lanes for entry in lane.entries}
        self._events = {stream: index.events.get(stream) or _unsaid(stream) for stream in streams | index.events.keys()}

    def moments(self, group: str) -> Iterator[Moment]:
        """Yield them; `group` is the name of one that this user may see.

        Raises:
            RunChanged: retention was faster.
            RunBusError: the log cannot be read.
        """
        with ExitStack() as opened:
            lanes = [self._lane(opened, group, lane) for lane in self._index.lanes if lane.entries]
            yield from self._merged(lanes)

    def _lane(self, opened: ExitStack, group: str, lane: Lane) -> Iterator[tuple[StreamId, StepsAgain | None]]:
        """Open one partition; return its records, None for one of which nothing is in the span."""
        log = opened.enter_context(open_topic(self._settings, STEPS, group))  # each partition has its own pace
        reader = EntryReader(log, lane.partition, lane.end)
        return self._records(reader, log.name, lane)

    def _records(self, reader: EntryReader, topic: str, lane: Lane) -> Iterator[tuple[StreamId, StepsAgain | None]]:
        for entry in sorted(lane.entries):  # as the log has them
            message = reader.read(entry)
            if message is None:
                raise RunChanged(
                    f"{topic}:{lane.partition}: the record at {entry.offset} was deleted meanwhile: replay again"
                )
            at = At(topic, lane.partition, entry.offset, message.timestamp()[1], message.key() or b"")
            writer, body = self._codec.open(message.value(), "StepBatch")
            batch = self._span.of(decode(body, writer))
            again = None
            if batch is not None:
                again = StepsAgain(int(batch.columns.ts[0]), entry.stream, at, message, batch)
            yield entry.stream, again

    def _merged(self, lanes: list[Iterator[tuple[StreamId, StepsAgain | None]]]) -> Iterator[Moment]:
        """Yield records by their time; a stream's end behind its last record, whatever the clocks say."""
        left = Counter(entry.stream for lane in self._index.lanes for entry in lane.entries)
        begun: set[StreamId] = set()
        ends = sorted((event.sent_at, stream) for stream, event in self._events.items())
        waiting: list[tuple[int, StreamId]] = []
        for stream, again in heapq.merge(*lanes, key=_time):
            while again is not None and ends and ends[0][0] < again.at_us:
                waiting.append(ends.pop(0))
            yield from self._over(waiting, left, begun)
            left[stream] -= 1
            if again is not None:
                if stream not in begun:
                    begun.add(stream)
                    yield StreamBegins(again.at_us, stream, self._events[stream])
                yield again
        left.clear()
        yield from self._over([*waiting, *ends], left, begun)

    def _over(self, waiting: list[tuple[int, StreamId]], left: Counter[StreamId], begun: set[StreamId]) -> list[Moment]:
        """Take those streams out of `waiting` that have no record left; return their ends."""
        found: list[Moment] = []
        for at_us, stream in list(waiting):
            if left[stream]:
                continue
            waiting.remove((at_us, stream))
            event = self._events[stream]
            if stream not in begun and self._span.whole:  # it has no step
                found.append(StreamBegins(at_us, stream, event))
                begun.add(stream)
            if stream in begun:
                found.append(StreamEnds(at_us, stream, event))
        return found


def _unsaid(stream: StreamId) -> RunEvent:
    """Return the event of a stream that is not on `runs`."""
    run_id, agent_id, attempt = stream
    return RunEvent(
        run_id=run_id, agent_id=agent_id, attempt=attempt, kind="STARTED", sent_at=attempt, started_at=attempt
    )


def _time(record: tuple[StreamId, StepsAgain | None]) -> int:
    """Return the wall time of a record; one of which nothing is left comes at once."""
    return -1 if record[1] is None else record[1].at_us

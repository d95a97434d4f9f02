"""Runs the core of a stream app over the log of one partition, without its group, its state and its topic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from confluent_kafka import Message

from runbus.config.errors import InvalidValue
from runbus.kafka.model import Record, TopicIdPartition
from runbus.kafka.topic_log import TopicLog, record_position
from runbus.schemas.codec import Codec
from runbus.schemas.errors import UnknownSchema
from runbus.schemas.events import RunEvent
from runbus.schemas.known_schemas import KnownSchemas, SchemaNeeded
from runbus.streams.api import AppMetrics, Change, Core, Emission
from runbus.streams.reset import Agent, seen
from runbus.streams.shard import OffsetGap, SavedPosition, Shard

#: A FINISHED event, and when the broker took it (milliseconds).
StreamEnd = tuple[RunEvent, int]
_AT_ONCE = 500  # records


class Recomputation:
    """One partition of an app, computed from the beginning of the log.

    Args:
        log: of `steps`.
        partition: its number.
        core: of the app, empty.
        ends: of the streams of the partition.
        codec: of the values.

    Attributes:
        first, end: the first offset that the log has, and where reading ended when this was made.
        agents: those that have a record in the log.
        cut_off: those among them whose first records retention has deleted: nothing can be said of them.
    """

    def __init__(self, log: TopicLog, partition: int, core: Core, ends: Iterable[StreamEnd], codec: Codec) -> None:
        source = TopicIdPartition(log.name, log.id, partition)
        self.first, self.end = log.bounds(partition)
        self.agents: set[Agent] = set()
        self.cut_off: set[Agent] = set()
        self._log = log
        self._schemas = KnownSchemas(codec)
        self._shard = Shard(source, core, self._schemas, AppMetrics(), app="rebuild")
        self._shard.skip_to(self.first)
        self._walk: Iterator[Message] | None = None
        self._ahead: Message | None = None
        self._known: set[object] = set()
        for event, appended_ms in ends:
            self._shard.end(event, appended_ms)

    @property
    def core(self) -> Core:
        """The core as it stands."""
        return self._shard.core

    def advance(self, position: SavedPosition) -> tuple[list[Emission], list[Change]]:
        """Go on to where the app stood once; return what it has emitted since, and what of its state changed.

        Raises:
            RunBusError: the log cannot be read.
        """
        waiting: list[Record] = []
        for message in self._records(position.next_offset):
            waiting.append(self._record(message))
            if len(waiting) == _AT_ONCE:
                self._feed(waiting)
                waiting = []
        self._feed(waiting)
        self._shard.tick(position.watermark_ms)
        pending = self._shard.collect()
        return pending.emissions, pending.changes

    def _records(self, end: int) -> Iterator[Message]:
        """Yield the next records below an offset; one that was read beyond it is the first of the next call."""
        if self._walk is None:
            self._walk = self._log.walk(self._shard.source.partition, self.first).below(self.end)
        while True:
            message = self._ahead or next(self._walk, None)
            self._ahead = message
            if message is None or record_position(message)[1] >= end:
                return
            self._ahead = None
            yield message

    def _record(self, message: Message) -> Record:
        offset, time_ms, value = record_position(message)[1], message.timestamp()[1], message.value()
        stream, first_seq = seen(offset, time_ms, value)[2:]
        if stream is not None and stream not in self._known:
            self._known.add(stream)
            self.agents.add(stream[:2])
            if first_seq > 0 and self.first > 0:
                self.cut_off.add(stream[:2])
        return Record(offset, time_ms, value, message.key())

    def _feed(self, records: list[Record]) -> None:
        while True:
            try:
                self._shard.feed(records)
            except OffsetGap as gap:
                self._shard.skip_to(gap.found)
            except SchemaNeeded as needed:
                self._schemas.ask(needed.ref)
            else:
                return


def ends_of(log: TopicLog, codec: Codec) -> list[StreamEnd]:
    """Return every FINISHED event of the topic `runs` that can be read."""
    found: list[StreamEnd] = []
    for message in log.records():
        try:
            writer, body = codec.open(message.value(), RunEvent.SCHEMA)
            event = RunEvent.decode(body, writer)
        except (InvalidValue, UnknownSchema):
            continue
        if event.kind == "FINISHED":
            found.append((event, message.timestamp()[1]))
    return found

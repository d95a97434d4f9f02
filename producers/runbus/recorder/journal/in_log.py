"""Asks the log which rows of a stream it has."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator

from runbus.config.errors import InvalidValue
from runbus.kafka.model import StreamId
from runbus.kafka.partitioner import partition_of
from runbus.kafka.principals import READERS
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_log import TopicLog, open_topic
from runbus.kafka.topics import STEPS, stream_key
from runbus.recorder.journal.format import NO_PARTITION, Ack
from runbus.schemas.batch import decode_header
from runbus.schemas.codec import Codec
from runbus.schemas.errors import UnknownSchema

#: in the name of the group, which nobody joins: a client has to have one
GROUP = "journal"
_SKEW_MS = 3_600_000  # between the agent's clock and the broker's

Rows = tuple[int, int]  # [first, end)


class InLog:
    """A set of rows of one stream."""

    def __init__(self, rows: Iterable[Rows] = ()) -> None:
        self._rows: list[Rows] = []
        for first, end in rows:
            insort(self._rows, (first, end))

    @property
    def end(self) -> int:
        """One past the highest row; 0 = there is none."""
        return max((end for _, end in self._rows), default=0)

    def split(self, first: int, end: int) -> Iterator[tuple[int, int, bool]]:
        """Yield [first, end) in pieces, and whether each is in the set."""
        at = first
        for low, high in self._rows:
            if high <= at or low >= end:
                continue
            if low > at:
                yield at, low, False
            at = max(at, low)
            yield at, min(high, end), True
            at = min(high, end)
        if at < end:
            yield at, end, False


def rows_in_log(kafka: KafkaSettings, codec: Codec, stream: StreamId, ack: Ack | None) -> InLog:
    """Return the rows of a stream that the log has, from the record of its last ack on.

    Without an ack the partition is read from an hour before the stream's start: clocks differ.

    Raises:
        RightMissing: this user may not read the topic.
        BrokerUnavailable, TopicMissing: the log cannot be read.
    """
    found: list[Rows] = []
    with open_topic(kafka, STEPS, kafka.topic_prefix + READERS + GROUP) as log:
        for partition, start in _starts(log, stream, ack).items():
            low, end = log.bounds(partition)
            if end > max(low, start):
                found += _rows(log, partition, max(low, start), end, codec, stream)
    return InLog(found)


def _starts(log: TopicLog, stream: StreamId, ack: Ack | None) -> dict[int, int]:
    """Return where to begin, by partition: a topic that grew may have sent what followed the ack to another one."""
    by_key = partition_of(stream_key(stream.run_id, stream.agent_id), len(log.partitions))
    if ack is not None and ack.partition == by_key:
        return {by_key: ack.offset}
    starts = {by_key: log.since(by_key, stream.attempt // 1000 - _SKEW_MS)}
    if ack is not None and ack.partition != NO_PARTITION:
        starts[ack.partition] = ack.offset
    return starts


def _rows(log: TopicLog, partition: int, start: int, end: int, codec: Codec, stream: StreamId) -> Iterator[Rows]:
    key = stream_key(stream.run_id, stream.agent_id)
    for message in log.walk(partition, start).below(end):
        if message.key() != key:
            continue
        try:
            writer, body = codec.open(message.value(), "StepBatch")
            header = decode_header(body, writer)
        except (InvalidValue, UnknownSchema):
            continue  # nobody can read it, so it is no row of anybody
        if (header.run_id, header.agent_id, header.attempt) == stream:
            yield header.first_seq, header.next_seq

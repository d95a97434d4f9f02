"""Measures how far behind a reader is: records, and the age of the next one that it has not handed out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer

from runbus.kafka.clients import never_destroy, new_bounds_reader
from runbus.kafka.errors import BrokerUnavailable, no_answer
from runbus.kafka.model import Lag, LogUnavailable, TopicPartition
from runbus.kafka.offsets import log_bounds
from runbus.kafka.settings import KafkaSettings
from runbus.reader.buffer import Buffer
from runbus.reader.cursor import PartitionCursor
from runbus.reader.events import LogEvent

_ASK_S = 10.0  # each of two requests to a broker that hangs


@dataclass(frozen=True, slots=True)
class ReaderLag:
    """The lag of a reader.

    Attributes:
        events: records between what was returned and the end of the log, in all partitions. Markers of transactions
            and records that are not wanted count until they are passed.
        milliseconds: age of the oldest record that was not returned; 0 if nothing is left. It grows while nothing
            moves.
        partitions: the same of each partition.
    """

    events: int
    milliseconds: int
    partitions: Mapping[TopicPartition, Lag]


class LogEnds:
    """Asks the broker where reading ends, with a client that is made at the first question and kept."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client: Consumer | None = None

    def of(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the end of each partition. Raises BrokerUnavailable, RunBusError."""
        self._client = self._client or new_bounds_reader(self._settings)
        try:
            return {at: end for at, (_, end) in log_bounds(self._client, places, _ASK_S).items()}
        except LogUnavailable as error:
            self._client = None  # its credentials may have been renewed
            raise BrokerUnavailable(no_answer(self._settings, str(error))) from error

    def after_fork(self) -> None:
        """Leave the client to the parent."""
        if self._client is not None:
            never_destroy(self._client)


def measure(cursors: Iterable[PartitionCursor], ends: Mapping[TopicPartition, int], buffer: Buffer) -> ReaderLag:
    """Return the lag of these partitions.

    Args:
        ends: where reading ends in each, as the broker says.
        buffer: has the next record of each partition that is behind, unless it is being fetched.
    """
    now_ms = time.time_ns() // 1_000_000
    oldest = _next_times(buffer)
    found = {}
    for cursor in cursors:
        events = max(0, ends.get(cursor.place, cursor.fetched) - cursor.position)
        found[cursor.place] = Lag(events, _age(cursor, events, oldest, now_ms))
    return ReaderLag(
        sum(lag.events for lag in found.values()), max((lag.milliseconds for lag in found.values()), default=0), found
    )


def _age(cursor: PartitionCursor, events: int, oldest: Mapping[PartitionCursor, int], now_ms: int) -> int:
    """Return the age of the next record; one that was not fetched yet is as old as the knowledge that it is there."""
    if not events:
        cursor.behind_since_ms = 0
        return 0
    if cursor in oldest:
        cursor.behind_since_ms = 0
        return max(0, now_ms - oldest[cursor])
    cursor.behind_since_ms = cursor.behind_since_ms or now_ms
    return now_ms - cursor.behind_since_ms


def _next_times(buffer: Buffer) -> dict[PartitionCursor, int]:
    """Return the time of the first record of each partition that waits."""
    found: dict[PartitionCursor, int] = {}
    for chunk in buffer.waiting():
        for cursor, record in chunk.items:
            if cursor in found or isinstance(record, LogEvent) or (record.offset() or 0) < cursor.position:
                continue
            found[cursor] = record.timestamp()[1]
    return found

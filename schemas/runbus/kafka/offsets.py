"""Asks what a group committed and what the log has, through clients that are no member of the group.

Not through the member's consumer: this is asked inside a rebalance callback, for all its partitions at once. And not
through the admin client. That of librdkafka 2.16 ends the process in two cases: the coordinator that it asks what a
group committed has moved or still loads the group (a segmentation fault, librdkafka issue 5040); and the broker goes
away while it asks where logs end ("Assertion `eonce->refcnt > 0' failed", seen in a sink whose broker was killed).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.model import LogUnavailable, TopicPartition
from runbus.kafka.next_step import cause_of, raise_for_person
from runbus.kafka.threads import in_thread

# One request to a broker that hangs; the caller repeats it. A rebalance callback makes three of them, and one for the
# topics' ids: 40 s at the most before it says that it waits, of the 300 s of the poll interval.
_TIMEOUT_S = 10.0
# The same, if the answer is only shown: lags are older by this much at the most. Nothing waits for it, neither the
# poll interval nor the end of the process.
_LOOK_S = 3.0


class KafkaOffsets:
    """Reads the positions of one group.

    Args:
        reader: a consumer of the group that never subscribes (clients.new_offsets_reader).
    """

    def __init__(self, reader: Consumer) -> None:
        self._reader = reader

    async def committed(self, positions: Sequence[TopicPartition]) -> dict[TopicPartition, Committed | None]:
        """Return what the group committed for each partition. Raises LogUnavailable, RunBusError."""
        return await in_thread(lambda: self._committed(positions), "runbus-kafka-offsets")

    async def bounds(self, positions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Return (first offset, offset after the last) of each partition's log. Raises LogUnavailable, RunBusError."""
        return await in_thread(lambda: log_bounds(self._reader, positions, _TIMEOUT_S), "runbus-kafka-offsets")

    async def close(self, seconds: float) -> None:
        """Give the reader that long to end."""
        await _close(self._reader, seconds)

    def _committed(self, positions: Sequence[TopicPartition]) -> dict[TopicPartition, Committed | None]:
        try:
            parts = self._reader.committed([ClientPartition(p.topic, p.partition) for p in positions], _TIMEOUT_S)
        except KafkaException as error:
            raise _unavailable(cause_of(error)) from error
        found: dict[TopicPartition, Committed | None] = {}
        for part in parts:
            if part.error is not None:
                raise _unavailable(part.error)
            committed = Committed(part.offset, Intent.decode(part.metadata)) if part.offset >= 0 else None
            found[TopicPartition(part.topic, part.partition)] = committed
        return found


class LogBounds:
    """Tells where logs begin, and where reading ends, to who asks again and again.

    Reading ends at the last stable offset: what stands behind it belongs to a transaction that is open, and cannot be
    late. The broker is asked, because a partition that is paused is not fetched, so a consumer's own watermark does not
    move just when the lag matters.

    Args:
        reader: a consumer for this object alone (clients.new_bounds_reader).
        seconds: for each of the two requests of a question.
    """

    def __init__(self, reader: Consumer, seconds: float = _LOOK_S) -> None:
        self._reader = reader
        self._seconds = seconds

    async def now(self, positions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Return the first offset of each partition, and where reading ends. Raises LogUnavailable, RunBusError."""
        return await in_thread(lambda: log_bounds(self._reader, positions, self._seconds), "runbus-kafka-bounds")

    async def close(self, seconds: float) -> None:
        """Give the reader that long to end."""
        await _close(self._reader, seconds)


def log_bounds(
    reader: Consumer, positions: Sequence[TopicPartition], seconds: float
) -> dict[TopicPartition, tuple[int, int]]:
    """Return the first offset of each partition, and where the log ends for this consumer.

    Args:
        reader: a consumer of the clients module that never subscribes.
        positions: the partitions.
        seconds: for each of two requests.

    Raises:
        LogUnavailable: no answer.
        RunBusError: a person has to act.
    """
    if not positions:
        return {}
    first, last = ([ClientPartition(*p, end) for p in positions] for end in (OFFSET_BEGINNING, OFFSET_END))
    try:
        found = [reader.offsets_for_times(asked, seconds) for asked in (first, last)]
    except KafkaException as error:
        raise _unavailable(cause_of(error)) from error
    for part in (*found[0], *found[1]):
        if part.error is not None:
            raise _unavailable(part.error)
    pairs = zip(positions, *found, strict=True)
    return {at: (low.offset, high.offset) for at, low, high in pairs}


async def _close(reader: Consumer, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await in_thread(reader.close, "runbus-kafka-offsets")


def _unavailable(error: KafkaError) -> LogUnavailable:
    """Return the error of a question without an answer. Raises RunBusError if a person has to act."""
    raise_for_person(error, "Describe on a topic or the sink's group")
    return LogUnavailable(error.str())

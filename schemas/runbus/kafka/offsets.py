"""Asks what a group committed and what the log has, through clients that are no member of the group.

Not through the member's consumer: this is asked inside a rebalance callback, for all its partitions at once. And what
the group committed not through the admin client: librdkafka 2.16 ends the process with a segmentation fault if the
coordinator that it asks has moved or still loads the group (librdkafka issue 5040).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TypeVar

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, IsolationLevel, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.model import LogUnavailable, TopicPartition
from runbus.kafka.next_step import cause_of, raise_for_person
from runbus.kafka.threads import in_thread

T = TypeVar("T")
# One request to a broker that hangs; the caller repeats it. A rebalance callback makes three of them, and one for the
# topics' ids: 40 s at the most before it says that it waits, of the 300 s of the poll interval.
_TIMEOUT_S = 10.0
# The same, if the answer is only shown: lags are older by this much at the most. Nothing waits for it, neither the
# poll interval nor the end of the process.
_LOOK_S = 3.0


class KafkaOffsets:
    """Reads the positions of one group.

    Args:
        admin: an admin client.
        reader: a consumer of the group that never subscribes (clients.new_offsets_reader).
    """

    def __init__(self, admin: AdminClient, reader: Consumer) -> None:
        self._admin = admin
        self._reader = reader

    async def committed(self, positions: Sequence[TopicPartition]) -> dict[TopicPartition, Committed | None]:
        """Return what the group committed for each partition. Raises LogUnavailable, RunBusError."""
        return await in_thread(lambda: self._committed(positions), "runbus-kafka-offsets")

    async def bounds(self, positions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Return (first offset, offset after the last) of each partition's log. Raises LogUnavailable, RunBusError."""
        return await in_thread(lambda: self._bounds(positions), "runbus-kafka-offsets")

    async def ends(self, positions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where reading ends for each partition. Raises LogUnavailable.

        It is the last stable offset: what stands behind it belongs to a transaction that is open, and it
        cannot be late. The broker is asked, because a partition that is paused is not fetched, so the consumer's
        own watermark does not move just when the lag matters.
        """
        return await in_thread(lambda: ends_of(self._admin, positions, _LOOK_S), "runbus-kafka-offsets")

    async def close(self, seconds: float) -> None:
        """Give the reader that long to end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await in_thread(self._reader.close, "runbus-kafka-offsets")

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

    def _bounds(self, positions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        first = self._ends(positions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        last = self._ends(positions, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        return {position: (first[position], last[position]) for position in positions}

    def _ends(
        self,
        positions: Sequence[TopicPartition],
        end: OffsetSpec,
        isolation: IsolationLevel = IsolationLevel.READ_UNCOMMITTED,
        seconds: float = _TIMEOUT_S,
    ) -> dict[TopicPartition, int]:
        return _listed(self._admin, positions, end, isolation, seconds)


def ends_of(
    admin: AdminClient, positions: Sequence[TopicPartition], seconds: float = _TIMEOUT_S
) -> dict[TopicPartition, int]:
    """Return where reading ends for each partition: its last stable offset. Raises LogUnavailable, RunBusError."""
    return _listed(admin, positions, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED, seconds)  # type: ignore[no-untyped-call]


def log_bounds(
    reader: Consumer, positions: Sequence[TopicPartition], seconds: float
) -> dict[TopicPartition, tuple[int, int]]:
    """Return the first offset of each partition, and where reading ends, of one that reads what is committed.

    For who asks all the time, also while the broker goes away: an admin client of librdkafka 2.16 ends the process then
    ("Assertion `eonce->refcnt > 0' failed").

    Args:
        reader: a consumer, of any group (clients.new_offsets_reader).
        positions: the partitions.
        seconds: for each of two requests.

    Raises:
        LogUnavailable: no answer.
        RunBusError: a person has to act.
    """
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


def _listed(
    admin: AdminClient, positions: Sequence[TopicPartition], end: OffsetSpec, isolation: IsolationLevel, seconds: float
) -> dict[TopicPartition, int]:
    if not positions:
        return {}
    asked = {ClientPartition(p.topic, p.partition): end for p in positions}
    futures = admin.list_offsets(asked, isolation_level=isolation, request_timeout=seconds)
    return {TopicPartition(part.topic, part.partition): _result(future).offset for part, future in futures.items()}


def _unavailable(error: KafkaError) -> LogUnavailable:
    """Return the error of a question without an answer. Raises RunBusError if a person has to act."""
    raise_for_person(error, "Describe on a topic or the sink's group")
    return LogUnavailable(error.str())


def _result(future: Future[T]) -> T:
    try:
        return future.result(timeout=_TIMEOUT_S + 1)
    except KafkaException as error:
        raise _unavailable(cause_of(error)) from error
    except TimeoutError as error:
        raise LogUnavailable("the broker did not answer in time") from error

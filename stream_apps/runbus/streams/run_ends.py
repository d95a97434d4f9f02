"""Learns which streams have ended: every worker reads all FINISHED events of the topic `runs`.

`runs` is keyed by stream and attempt, so it is not partitioned as `steps` is; it is small, and compacted. What a core
does with an end depends neither on when it comes nor on how often, so reading it needs no cursor.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TypeAlias

from runbus.config.errors import InvalidValue
from runbus.kafka.model import StreamId, TopicPartition
from runbus.kafka.partitioner import partition_of
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import DAY_MS, RUNS, stream_key
from runbus.schemas.codec import RegistryId, split
from runbus.schemas.errors import RegistryMissing, RegistryUnavailable, UnknownSchema
from runbus.schemas.events import RunEvent
from runbus.schemas.known_schemas import KnownSchemas, SchemaNeeded
from runbus.streams.client_errors import AGAIN_S, CLIENT_ERRORS, own_state_checked, raise_if_final
from runbus.streams.kafka import close_client, read, reader

log = logging.getLogger(__name__)
_REMEMBERED = 100_000
# Steps are kept for a week, and then until their segment is closed, a week at the most: the end of a stream that is
# older has no steps that are still to be read, nor to be read again after a reset (reset.py).
_DAYS = 15

#: Takes an end: partition of steps, event, append time in milliseconds.
OnEnd: TypeAlias = Callable[[int, RunEvent, int], None]


class RunEnds:
    """Follows the topic `runs`.

    Args:
        settings: of the broker.
        schemas: shared with the partitions of the process.
        partitions: of `steps`, and so of `runs`.
        on_end: is told each end.
    """

    def __init__(self, settings: KafkaSettings, schemas: KnownSchemas, partitions: int, on_end: OnEnd) -> None:
        self._settings = settings
        self._schemas = schemas
        self._partitions = partitions
        self._on_end = on_end
        #: Set once all that was there at the start is read. Otherwise an app that was away for long would
        #: take streams that ended for silent ones.
        self.read = asyncio.Event()
        self._known: OrderedDict[StreamId, tuple[int, RunEvent, int]] = OrderedDict()
        self._waiting: list[tuple[RegistryId, bytes | None, int]] = []  # for their schemas

    def of(self, partition: int) -> Iterator[tuple[RunEvent, int]]:
        """Yield the ends of the streams of one partition that were read so far."""
        for number, event, appended_ms in list(self._known.values()):
            if number == partition:
                yield event, appended_ms

    async def run(self) -> None:
        """Read on until cancelled; after an error of the client from the beginning: an end may come again.

        Raises RunBusError if a person has to act.
        """
        while True:
            try:
                with own_state_checked():
                    await self._follow()
            except CLIENT_ERRORS as error:
                raise_if_final(error, f"reading {RUNS.name}")
            await asyncio.sleep(AGAIN_S)

    async def _follow(self) -> None:
        topic = self._settings.topic_prefix + RUNS.name
        self._waiting.clear()
        consumer = reader(self._settings)
        try:
            await consumer.start()
            partitions = [TopicPartition(topic, p) for p in range(self._partitions)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)  # asked first: what is appended from now on is read
            since = int(time.time() * 1000) - _DAYS * DAY_MS
            for partition, found in (await consumer.offsets_for_times(dict.fromkeys(partitions, since))).items():
                consumer.seek(partition, ends[partition] if found is None else found.offset)
            while True:
                if not self.read.is_set():
                    positions = {partition: await consumer.position(partition) for partition in partitions}
                    if all(at >= ends[partition] for partition, at in positions.items()):
                        self.read.set()
                for records in (await read(consumer, 1.0)).values():
                    for record in records:
                        self._take(record.value, record.timestamp)
                await self._take_waiting()
        finally:
            await close_client(consumer)

    def _take(self, value: bytes | None, appended_ms: int) -> None:
        try:
            ref, start = split(value)
            event = RunEvent.decode((value or b"")[start:], self._schemas.find(ref, RunEvent.SCHEMA))
        except SchemaNeeded as needed:
            self._waiting.append((needed.ref, value, appended_ms))
            return
        except (InvalidValue, UnknownSchema) as error:
            log.warning("streams.run_event is not understood: %s", error)  # the sink keeps it as a dead letter
            return
        if event.kind != "FINISHED":
            return
        id_ = StreamId(event.run_id, event.agent_id, event.attempt)
        partition = partition_of(stream_key(id_.run_id, id_.agent_id), self._partitions)
        self._known[id_] = (partition, event, appended_ms)
        self._known.move_to_end(id_)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        self._on_end(partition, event, appended_ms)

    async def _take_waiting(self) -> None:
        """Ask the registry for the schemas that events wait for; if it does not answer, they wait on."""
        try:
            for ref in dict.fromkeys(ref for ref, _, _ in self._waiting):
                await self._schemas.learn(ref)
        except (RegistryMissing, RegistryUnavailable) as error:
            log.warning("streams.waiting for the schemas of run events: %s", error)
            return
        waiting, self._waiting = self._waiting, []
        for _, value, appended_ms in waiting:
            self._take(value, appended_ms)

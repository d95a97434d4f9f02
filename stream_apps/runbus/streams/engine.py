"""Runs a stream app on Kafka: reads `steps` as a member of a group, feeds the cores, commits what they return.

One event loop. It never waits for the commit or the takeover of one partition.
"""

from __future__ import annotations

import asyncio
import logging
import time

from runbus.kafka.model import Fenced, Lag, Record, TopicIdPartition, TopicPartition
from runbus.probes import Durations
from runbus.schemas.codec import Codec
from runbus.schemas.errors import RegistryMissing, RegistryUnavailable
from runbus.schemas.events import RunEvent
from runbus.schemas.known_schemas import KnownSchemas, SchemaNeeded
from runbus.service.background import BackgroundTasks
from runbus.streams.api import AppMetrics, StreamApp
from runbus.streams.best_effort import BestEffortProducer
from runbus.streams.client_errors import AGAIN_S, CLIENT_ERRORS, raise_if_final
from runbus.streams.kafka import StateLog, Transactions, pause, resume, sender
from runbus.streams.lag import lags
from runbus.streams.membership import GroupMembership
from runbus.streams.output import AppOutput
from runbus.streams.owned_partition import OwnedPartition, ReadAgain
from runbus.streams.ownership import PartitionOwnership
from runbus.streams.run_ends import RunEnds
from runbus.streams.settings import StreamSettings
from runbus.streams.shard import Shard
from runbus.streams.start import SourceTopic

log = logging.getLogger(__name__)

_TICK_S = 0.05  # how often time passes for the cores, and how long a read waits for records
_REGISTRY_S = 1.0  # between two questions to a registry that does not answer
# Stream time stays behind the last answer of the broker by this much: a record that was appended just before it may
# have been answered after it.
_MARGIN_MS = 100


class StreamEngine:
    """Runs one app.

    Args:
        app: what to run.
        settings: of the process.
        codec: of the values.
        source: the topic `steps`.

    Attributes:
        turned_at: when the loop turned last, monotonic seconds.
    """

    def __init__(self, app: StreamApp, settings: StreamSettings, codec: Codec, source: SourceTopic) -> None:
        kafka = settings.kafka
        self.app = app
        self.settings = settings
        self.group = kafka.topic_prefix + app.kind
        self.metrics = AppMetrics()
        self.commit_seconds = Durations()
        self.turned_at = time.monotonic()
        self.best_effort = BestEffortProducer(lambda: sender(kafka))
        self._source = source
        self._schemas = KnownSchemas(codec)
        self._output = AppOutput(kafka.topic_prefix, codec, self.best_effort)
        self._commit_s = settings.commit_seconds or app.commit_seconds
        self._tasks = BackgroundTasks()
        self._member = GroupMembership(settings, self.group)
        self._ends = RunEnds(kafka, self._schemas, source.partitions, self._ended)
        self.ownership = PartitionOwnership(settings, self._member, self._new_partition, self._ends, self._tasks)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set. Raises RunBusError if a person has to act."""
        self._tasks.start(self.best_effort.run())
        self._tasks.start(self._ends.run())
        self._tasks.start(self._hurry(stop))
        try:
            while not stop.is_set():
                await self._be_member(stop)
        finally:
            await self._tasks.cancel()
        log.info("streams.stopped app=%s", self.app.kind)

    async def _hurry(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._member.hurry()

    async def _be_member(self, stop: asyncio.Event) -> None:
        """Be a member of the group until `stop` is set, or until the consumer can do no more."""
        ownership = self.ownership
        try:
            await self._member.join(self._source.name, ownership.assigned, ownership.revoked)
            log.info("streams.started app=%s group=%s", self.app.kind, self.group)
            while not stop.is_set():
                await self._turn()
            await ownership.give_up(set(ownership.partitions))
            await self._output.settled()
        except CLIENT_ERRORS as error:
            if self._tasks.error is not None:  # it is that one, and no error of this consumer
                raise
            raise_if_final(error, f"being a member of {self.group}")
        finally:
            await self._close(stop)
        if not stop.is_set():
            await asyncio.sleep(AGAIN_S)

    async def _close(self, stop: asyncio.Event) -> None:
        """Leave the group and drop the clients, at the end all at once: a broker that is away must not hold it up."""
        self._member.end()
        partitions = await self.ownership.drop()
        closing = [self._member.close(), *(owned.close() for owned in partitions)]
        if stop.is_set():
            closing.append(self._tasks.cancel())
        try:
            async with asyncio.timeout(self.settings.grace_seconds):
                await asyncio.gather(*closing, return_exceptions=True)
        except TimeoutError:
            log.warning("streams.not_left: the broker did not answer")

    async def _turn(self) -> None:
        self._tasks.raise_error()
        for partition, records in (await self._member.read(_TICK_S, self.settings.batch_records)).items():
            owned = self.ownership.partitions.get(partition)
            if owned is not None and owned.opened:
                self._feed(owned, [Record(r.offset, r.timestamp, r.value, r.key) for r in records])
                await asyncio.sleep(0)  # heartbeats and commits have their turn
        self.turned_at = now = time.monotonic()
        for owned in list(self.ownership.partitions.values()):
            if owned.opened and not owned.given_up:
                owned.shard.tick(self._read_up_to(owned))
                self._send_at_once(owned)
            if owned.due(now, self._commit_s):
                self._tasks.start(self._commit(owned))

    def _feed(self, owned: OwnedPartition, records: list[Record]) -> None:
        consumer = self._member.consumer
        try:
            owned.feed(records)
        except SchemaNeeded as needed:
            pause(consumer, owned.partition)
            self._tasks.start(self._learn(owned, needed))
        except ReadAgain as again:
            log.warning("streams.read_again partition=%s offset=%d", owned.shard.source, again.offset)
            consumer.seek(owned.partition, again.offset)
        self._send_at_once(owned)

    def _send_at_once(self, owned: OwnedPartition) -> None:
        if self.app.delivery == "at once":
            self._output.send(owned.shard.take_emissions())

    def _read_up_to(self, owned: OwnedPartition) -> int | None:
        """Return a broker time up to which everything of the partition was read, None if something is left."""
        partition, consumer, clock = owned.partition, self._member.consumer, self.ownership.clock
        if not clock.known or owned.waits or partition not in consumer.assignment():
            return None
        end, answered_ms = consumer.highwater(partition), consumer.last_poll_timestamp(partition)
        if end is None or answered_ms is None:
            return None
        asked_ms = owned.asked_after(int(answered_ms))
        if asked_ms is None or owned.shard.next_offset < end:
            return None
        return clock.of(asked_ms) - _MARGIN_MS

    async def _commit(self, owned: OwnedPartition) -> None:
        began = time.monotonic()
        try:
            pending = await owned.commit()
        except Fenced as error:
            await self.ownership.fenced(owned, error)
            return
        except CLIENT_ERRORS as error:
            await self.ownership.in_doubt(owned, error)
            return
        if pending is not None:
            self.metrics.commits += 1
            self.commit_seconds.observe(time.monotonic() - began)

    async def _learn(self, owned: OwnedPartition, needed: SchemaNeeded) -> None:
        """Ask the registry until it answers; only this partition waits."""
        source, waits_for = str(owned.shard.source), self.ownership.waits_for
        while True:
            try:
                await self._schemas.learn(needed.ref)
                break
            except (RegistryMissing, RegistryUnavailable) as error:
                if not self.ownership.works_on(owned):
                    return
                waits_for[source] = str(error)
                log.warning("streams.waiting partition=%s: %s", source, error)
                await asyncio.sleep(_REGISTRY_S)
        if self.ownership.works_on(owned):
            waits_for.pop(source, None)
            resume(self._member.consumer, owned.partition)
            self._feed(owned, [])

    def _ended(self, number: int, event: RunEvent, appended_ms: int) -> None:
        owned = self.ownership.partitions.get(TopicPartition(self._source.name, number))
        if owned is not None and owned.opened and not owned.given_up:
            owned.shard.end(event, appended_ms)

    def _new_partition(self, partition: TopicPartition) -> OwnedPartition:
        kafka = self.settings.kafka
        source = TopicIdPartition(partition.topic, self._source.id, partition.partition)
        shard = Shard(source, self.app.new_core(str(source)), self._schemas, self.metrics, app=self.app.kind)
        state = StateLog(kafka, kafka.topic_prefix + self.app.state.name, partition.partition)
        return OwnedPartition(partition, shard, state, Transactions(kafka, self.group, partition), self._output)

    def lags(self) -> dict[str, Lag]:
        """Return how far behind each partition is; the age grows while nothing moves."""
        return lags(self.ownership.partitions, self._member.consumer, self.ownership.clock)

    def sizes(self) -> dict[str, int]:
        """Return what the cores hold, added up."""
        total: dict[str, int] = {}
        for owned in self.ownership.partitions.values():
            for name, number in owned.shard.core.size().items():
                total[name] = total.get(name, 0) + number
        return total

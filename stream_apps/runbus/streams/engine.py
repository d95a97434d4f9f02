"""A stream app on Kafka: reads `steps` as a member of a group, gives records to the cores, commits what they say.

One event loop. Per partition: taken over (its state read back), fed, committed, given up. The loop never waits for one
partition's commit or recovery; a crash at any point loses nothing, because nothing counts before its transaction does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine
from typing import Any

from runbus.kafka.model import Fenced, Lag, Record, TopicIdPartition, TopicPartition
from runbus.probes import Durations
from runbus.schemas.codec import Codec
from runbus.schemas.errors import RegistryMissing, RegistryUnavailable
from runbus.schemas.events import RunEvent
from runbus.streams.api import AppMetrics, StreamApp
from runbus.streams.best_effort import BestEffortProducer
from runbus.streams.client_errors import AGAIN_S, CLIENT_ERRORS, raise_if_final, said
from runbus.streams.kafka import (
    Consumer,
    StateLog,
    Transactions,
    heartbeat_seconds,
    pause,
    resume,
    sender,
)
from runbus.streams.lag import lags
from runbus.streams.membership import GroupMembership
from runbus.streams.partition import BrokerClock, OutputTopics, Partition, ReadAgain, commit_last
from runbus.streams.run_ends import RunEnds
from runbus.streams.settings import StreamSettings
from runbus.streams.shard import KnownSchemas, SchemaNeeded, Shard
from runbus.streams.start import SourceTopic, state_topic

log = logging.getLogger(__name__)

_TICK_S = 0.05  # how often time passes for the cores, and how long a read waits for records
_REGISTRY_S = 1.0  # between two questions to a registry that does not answer
# Stream time stays behind the last answer of the broker by this much: a record that was appended just before it may
# have been answered after it.
_MARGIN_MS = 100
_SETTLE_S = 2.0
# For the last commits of all partitions that are given up, together: a broker that is away must not hold up the group.
# The group waits 30 s (rebalance_timeout_ms) for the callback of a revocation; of a member that takes longer it takes
# everything. These 15 s, and up to 7 s in which the clients are closed, leave 8 s for the join. The session does not
# count, since aiokafka sends heartbeats meanwhile, nor does max.poll.interval.ms (300 s). At SIGTERM the grace counts,
# where it is shorter: RUNBUS_STREAMS_GRACE_SECONDS (8 s).
_LEAVE_S = 15.0


class StreamEngine:
    """Runs one app.

    Args:
        app: what to run.
        settings: of the process.
        codec: of the values.
    """

    def __init__(self, app: StreamApp, settings: StreamSettings, codec: Codec) -> None:
        self.app = app
        self.settings = settings
        self.group = settings.kafka.topic_prefix + app.kind
        self.counters = AppMetrics()
        self.partitions: dict[TopicPartition, Partition] = {}
        self.commit_seconds = Durations()
        self.turned_at = time.monotonic()
        self.joined = False
        self.waits_for: dict[str, str] = {}
        self.outbox = BestEffortProducer(lambda: sender(settings.kafka))
        self.clock = BrokerClock()
        self.codec = codec
        self._schemas = KnownSchemas(codec)
        self._names = OutputTopics(settings.kafka.topic_prefix, codec)
        self._commit_s = settings.commit_seconds or app.commit_seconds
        self._member = GroupMembership(settings, self.group, self.assigned, self.revoked)
        self._tasks: set[asyncio.Task[None]] = set()
        self._opening: dict[TopicPartition, asyncio.Task[None]] = {}
        self._failure: asyncio.Future[None] | None = None
        self._topic: SourceTopic | None = None
        self._ends: RunEnds | None = None

    @property
    def _consumer(self) -> Consumer:
        return self._member.consumer

    async def run(self, stop: asyncio.Event, topic: SourceTopic) -> None:
        """Work on a topic until `stop` is set. Raises RunBusError if a person has to act."""
        loop = asyncio.get_running_loop()
        self._failure = loop.create_future()
        self._topic = topic
        self._ends = RunEnds(self.settings.kafka, self.codec, topic.partitions, self._ended)
        background = [loop.create_task(c) for c in (self.outbox.run(), self._ends.run())]
        for task in background:
            task.add_done_callback(self._note)
        try:
            while not stop.is_set():
                await self._belong(stop)
        finally:
            for task in [*background, *self._tasks]:
                task.cancel()
            await asyncio.gather(*background, *self._tasks, return_exceptions=True)
        log.info("streams.stopped app=%s", self.app.kind)

    async def _belong(self, stop: asyncio.Event) -> None:
        """Be a member of the group until `stop` is set, or until the consumer is of no use any more."""
        assert self._topic is not None
        assert self._failure is not None
        try:
            await self._member.join(self._topic.name)
            log.info("streams.started app=%s group=%s", self.app.kind, self.group)
            while not stop.is_set():
                await self._turn()
            await self._give_up(set(self.partitions))
            await self._settled()
        except CLIENT_ERRORS as error:
            if self._failure.done():  # of another task, and no error of this consumer
                raise
            raise_if_final(error, f"being a member of {self.group}")
        finally:
            await self._close()
        if not stop.is_set():
            await asyncio.sleep(AGAIN_S)

    async def _close(self) -> None:
        """Leave the group and drop the clients; a broker that is away must not hold up the end."""
        self._member.end()
        opening, partitions = [*self._opening.values()], [*self.partitions.values()]
        self._opening.clear()
        self.partitions.clear()
        self.joined = False
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        closing = [self._member.close(), *(p.close() for p in partitions)]
        try:
            await asyncio.wait_for(asyncio.gather(*closing, return_exceptions=True), self.settings.grace_seconds)
        except TimeoutError:
            log.warning("streams.not_left: the broker did not answer")

    # --- the loop -------------------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        assert self._failure is not None
        if self._failure.done():
            self._failure.result()
        for place, records in (await self._member.read(_TICK_S, self.settings.batch_records)).items():
            partition = self.partitions.get(place)
            if partition is not None and partition.opened:
                self._feed(partition, [Record(r.offset, r.timestamp, r.value, r.key) for r in records])
                await asyncio.sleep(0)  # heartbeats and commits have their turn
        self.turned_at = now = time.monotonic()
        for partition in list(self.partitions.values()):
            if partition.opened and not partition.given_up:
                partition.shard.tick(self._read_up_to(partition))
                self._send_at_once(partition)
            if partition.due(now, self._commit_s):
                self._start(self._commit(partition))

    def _feed(self, partition: Partition, records: list[Record]) -> None:
        try:
            partition.feed(records)
        except SchemaNeeded as needed:
            pause(self._consumer, partition.place)
            self._start(self._learn(partition, needed))
        except ReadAgain as again:
            log.warning("streams.read_again partition=%s offset=%d", partition.shard.source, again.offset)
            self._consumer.seek(partition.place, again.offset)
        self._send_at_once(partition)

    def _send_at_once(self, partition: Partition) -> None:
        if self.app.delivery == "at once":
            for emission in partition.shard.take_emissions():
                self.outbox.put(self._names.message(emission))

    def _read_up_to(self, partition: Partition) -> int | None:
        """Return a broker time up to which everything of the partition was read, None where something is left."""
        place, consumer = partition.place, self._consumer
        if not self.clock.known or partition.waits or place not in consumer.assignment():
            return None
        end, answered_ms = consumer.highwater(place), consumer.last_poll_timestamp(place)
        if end is None or answered_ms is None:
            return None
        asked_ms = partition.asked_after(int(answered_ms))
        if asked_ms is None or partition.shard.next_offset < end:
            return None
        return self.clock.of(asked_ms) - _MARGIN_MS

    async def _commit(self, partition: Partition) -> None:
        began = time.monotonic()
        try:
            work = await partition.commit(self._settled)
        except Fenced as fenced:
            await self._refused(partition, fenced)
            return
        except CLIENT_ERRORS as error:
            await self._in_doubt(partition, error)
            return
        if work is not None:
            self.counters.commits += 1
            self.commit_seconds.observe(time.monotonic() - began)

    async def _settled(self) -> None:
        """Wait until live metrics that were made so far are out; not for long, they are not worth a halt."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.outbox.settled(), _SETTLE_S)

    async def _refused(self, partition: Partition, fenced: Fenced) -> None:
        """Stop working on a partition that somebody else took over; take it back where the group still gives it to us.

        Whoever took it is either its new owner, then the group tells us within a heartbeat or two, or was stopped while
        it took over and is none any more, then nobody else works on it.
        """
        log.warning("streams.fenced partition=%s: %s", partition.shard.source, fenced)
        await self._take_back(partition, 2 * heartbeat_seconds(self.settings.session_seconds))

    async def _in_doubt(self, partition: Partition, error: Exception) -> None:
        """Take a partition over from ourselves: nobody here knows whether the last transaction was committed.

        The broker decides it, and whoever opens the id next finds it out: what is under way is ended then, nothing can
        follow, and the state that is read back says up to where everything was done (docs/decisions/0008). The other
        partitions go on.
        """
        source = str(partition.shard.source)
        raise_if_final(error, f"writing for {source}")
        self.waits_for[source] = said(error)
        await self._take_back(partition, AGAIN_S)

    async def _take_back(self, partition: Partition, seconds: float) -> None:
        """Drop a partition as it is here, and take it over anew after a while, if the group still gives it to us."""
        partition.given_up = True
        await asyncio.sleep(seconds)
        if self.partitions.get(partition.place) is partition:
            await partition.close()
        if self.partitions.get(partition.place) is partition:
            log.warning("streams.taken_back partition=%s", partition.shard.source)
            self._take_over(partition.place)

    async def _learn(self, partition: Partition, needed: SchemaNeeded) -> None:
        """Ask the registry until it answers; only this partition waits."""
        while True:
            try:
                await asyncio.to_thread(self._schemas.learn, needed.ref)
                break
            except (RegistryMissing, RegistryUnavailable) as error:
                self.waits_for[str(partition.shard.source)] = str(error)
                log.warning("streams.waiting partition=%s: %s", partition.shard.source, error)
                await asyncio.sleep(_REGISTRY_S)
        self.waits_for.pop(str(partition.shard.source), None)
        if not partition.given_up:
            resume(self._consumer, partition.place)
            self._feed(partition, [])

    def _ended(self, number: int, event: RunEvent, appended_ms: int) -> None:
        assert self._topic is not None
        partition = self.partitions.get(TopicPartition(self._topic.name, number))
        if partition is not None and partition.opened and not partition.given_up:
            partition.shard.end(event, appended_ms)

    # --- what it says of itself ------------------------------------------------------------------------------------

    def lags(self) -> dict[str, Lag]:
        """Return how far behind each partition is; the age grows while nothing moves."""
        return lags(self.partitions, self._consumer, self.clock)

    def sizes(self) -> dict[str, int]:
        """Return what the cores hold, added up."""
        total: dict[str, int] = {}
        for partition in self.partitions.values():
            for name, number in partition.shard.core.size().items():
                total[name] = total.get(name, 0) + number
        return total

    # --- partitions -----------------------------------------------------------------------------------------------

    def assigned(self, places: set[TopicPartition]) -> None:
        """Begin to take partitions over; nothing is read from them until that is done."""
        self.joined = True
        for place in places:
            self._take_over(place)

    def _take_over(self, place: TopicPartition) -> None:
        pause(self._consumer, place)
        partition = self._new_partition(place)
        self.partitions[place] = partition
        task = asyncio.get_running_loop().create_task(self._open(partition))
        task.add_done_callback(self._note)
        self._opening[place] = task

    async def revoked(self, places: set[TopicPartition]) -> None:
        """Commit what was done and give the partitions away."""
        self.joined = False
        await self._give_up(places)

    async def _give_up(self, places: set[TopicPartition]) -> None:
        for place in places:
            if (task := self._opening.pop(place, None)) is not None:
                task.cancel()
        owned = [self.partitions.pop(place) for place in places if place in self.partitions]
        if not owned:
            return
        for partition in owned:
            self.waits_for.pop(str(partition.shard.source), None)
        await commit_last(owned, self._settled, min(self.settings.grace_seconds, _LEAVE_S))
        await asyncio.gather(*(partition.close() for partition in owned))
        log.info("streams.revoked %s", ", ".join(str(p.shard.source) for p in owned))

    def _new_partition(self, place: TopicPartition) -> Partition:
        assert self._topic is not None
        source = TopicIdPartition(place.topic, self._topic.id, place.partition)
        shard = Shard(source, self.app.new_core(str(source)), self._schemas, self.counters, app=self.app.kind)
        state = StateLog(
            self.settings.kafka, self.settings.kafka.topic_prefix + state_topic(self.app).name, place.partition
        )
        return Partition(place, shard, state, Transactions(self.settings.kafka, self.group, place), self._names)

    async def _open(self, partition: Partition) -> None:
        began = time.monotonic()
        place, shard = partition.place, partition.shard
        try:
            same_topic = await partition.open(self.clock)
            if shard.next_offset < 0:
                committed = await self._consumer.committed(place) if same_topic else 0
                beginning = (await self._consumer.beginning_offsets([place]))[place]
                shard.skip_to(max(beginning, committed or 0))
        except Fenced as fenced:
            await self._refused(partition, fenced)
            return
        except CLIENT_ERRORS as error:
            await self._in_doubt(partition, error)
            return
        assert self._ends is not None
        await self._ends.read.wait()
        partition.opened = True
        self.waits_for.pop(str(shard.source), None)
        for event, appended_ms in self._ends.of(place.partition):
            shard.end(event, appended_ms)
        if self.partitions.get(place) is partition:
            self._consumer.seek(place, shard.next_offset)
            resume(self._consumer, place)
        log.info(
            "streams.opened partition=%s offset=%d seconds=%.2f %s",
            *(shard.source, shard.next_offset, time.monotonic() - began, shard.core.size()),
        )

    # --- tasks ----------------------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._note)

    def _note(self, task: asyncio.Task[None]) -> None:
        """Let what a task raised end the loop."""
        if task.cancelled() or self._failure is None or self._failure.done():
            return
        if (error := task.exception()) is not None:
            self._failure.set_exception(error)

"""Owns the partitions that the group gives to this process: takes each over, takes it back after a fault, gives it up.

The loop never waits for a takeover. A crash at any point loses nothing, because nothing counts before its transaction
does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from runbus.kafka.model import Fenced, TopicPartition
from runbus.service.background import BackgroundTasks
from runbus.streams.broker_clock import BrokerClock
from runbus.streams.client_errors import AGAIN_S, CLIENT_ERRORS, own_state_checked, raise_if_final, said
from runbus.streams.kafka import heartbeat_seconds, pause, resume
from runbus.streams.membership import GroupMembership
from runbus.streams.owned_partition import OwnedPartition, commit_last
from runbus.streams.run_ends import RunEnds
from runbus.streams.settings import StreamSettings

log = logging.getLogger(__name__)

# For the last commits of all partitions that are given up, together: a broker that is away must not hold up the group.
# The group waits 30 s (rebalance_timeout_ms) for the callback of a revocation; of a member that takes longer it takes
# everything. These 15 s, and up to 7 s in which the clients are closed, leave 8 s for the join. The session does not
# count, since aiokafka sends heartbeats meanwhile, nor does max.poll.interval.ms (300 s). At SIGTERM the grace counts,
# if it is shorter: 1 s for a read, RUNBUS_STREAMS_GRACE_SECONDS (8 s), then 7 s for the clients of the partitions, 2 s
# for what was sent at once, 7 s for the other clients, 2 s for heartbeats and probes: 27 s of the 30 before SIGKILL.
_LEAVE_S = 15.0


class PartitionOwnership:
    """The partitions of one engine.

    Args:
        settings: of the process.
        member: of the group that gives partitions.
        new_partition: makes one that is not opened yet.
        ends: of the streams.
        tasks: of the engine.

    Attributes:
        partitions: those that are owned, also while they are opened.
        joined: the group gave partitions and takes none away now.
        waits_for: partition -> why it waits.
        clock: the broker's.
    """

    def __init__(
        self,
        settings: StreamSettings,
        member: GroupMembership,
        new_partition: Callable[[TopicPartition], OwnedPartition],
        ends: RunEnds,
        tasks: BackgroundTasks,
    ) -> None:
        self.partitions: dict[TopicPartition, OwnedPartition] = {}
        self.joined = False
        self.waits_for: dict[str, str] = {}
        self.clock = BrokerClock()
        self._settings = settings
        self._member = member
        self._new_partition = new_partition
        self._ends = ends
        self._tasks = tasks
        self._opening: dict[TopicPartition, asyncio.Task[None]] = {}

    def assigned(self, partitions: set[TopicPartition]) -> None:
        """Begin to take partitions over; nothing is read from them until that is done."""
        self.joined = True
        for partition in partitions:
            self._take_over(partition)

    async def revoked(self, partitions: set[TopicPartition]) -> None:
        """Commit what was done and give the partitions away."""
        self.joined = False
        await self.give_up(partitions)

    async def give_up(self, partitions: set[TopicPartition]) -> None:
        """Commit what was done in some partitions before one deadline, and close them."""
        for partition in partitions:
            if (task := self._opening.pop(partition, None)) is not None:
                task.cancel()
        given = [self.partitions.pop(partition) for partition in partitions if partition in self.partitions]
        if not given:
            return
        for owned in given:
            self.waits_for.pop(str(owned.shard.source), None)
        await commit_last(given, min(self._settings.grace_seconds, _LEAVE_S))
        await asyncio.gather(*(owned.close() for owned in given))
        log.info("streams.revoked %s", ", ".join(str(owned.shard.source) for owned in given))

    def works_on(self, owned: OwnedPartition) -> bool:
        """Whether a partition is owned here, and was not given up or taken over anew."""
        return self.partitions.get(owned.partition) is owned and not owned.given_up

    async def drop(self) -> list[OwnedPartition]:
        """Stop what is being opened; return every partition, for the caller to close."""
        opening, partitions = [*self._opening.values()], [*self.partitions.values()]
        self._opening.clear()
        self.partitions.clear()
        self.joined = False
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        return partitions

    async def fenced(self, owned: OwnedPartition, error: Fenced) -> None:
        """Stop working on a partition that another process took over; take it back if the group still gives it to us.

        That process is either its new owner, and the group tells us within a heartbeat or two; or it was stopped while
        it took over and is no owner any more, and then no other process works on the partition.
        """
        log.warning("streams.fenced partition=%s: %s", owned.shard.source, error)
        await self._take_back(owned, 2 * heartbeat_seconds(self._settings.session_seconds))

    async def in_doubt(self, owned: OwnedPartition, error: Exception) -> None:
        """Take a partition over from ourselves: it is not known here whether the last transaction was committed.

        The broker decides it, and the next to open the id finds it out: what is under way is ended then, nothing can
        follow, and the state that is read back says up to which offset everything was done (docs/decisions/0008). The
        other partitions go on.
        """
        source = str(owned.shard.source)
        raise_if_final(error, f"writing for {source}")
        self.waits_for[source] = said(error)
        await self._take_back(owned, AGAIN_S)

    async def _take_back(self, owned: OwnedPartition, seconds: float) -> None:
        """Drop a partition as it is here, and take it over anew after a while, if the group still gives it to us."""
        owned.given_up = True
        await asyncio.sleep(seconds)
        if self.partitions.get(owned.partition) is owned:
            await owned.close()
        if self.partitions.get(owned.partition) is owned:
            log.warning("streams.taken_back partition=%s", owned.shard.source)
            self._take_over(owned.partition)

    def _take_over(self, partition: TopicPartition) -> None:
        pause(self._member.consumer, partition)
        owned = self.partitions[partition] = self._new_partition(partition)
        self._opening[partition] = self._tasks.start(self._open(owned))

    async def _open(self, owned: OwnedPartition) -> None:
        began = time.monotonic()
        partition, shard, consumer = owned.partition, owned.shard, self._member.consumer
        try:
            with own_state_checked():
                same_topic = await owned.open(self.clock)
                if shard.next_offset < 0:
                    committed = await consumer.committed(partition) if same_topic else 0
                    beginning = (await consumer.beginning_offsets([partition]))[partition]
                    shard.skip_to(max(beginning, committed or 0))
        except Fenced as error:
            await self.fenced(owned, error)
            return
        except CLIENT_ERRORS as error:
            await self.in_doubt(owned, error)
            return
        await self._ends.read.wait()
        owned.opened = True
        self.waits_for.pop(str(shard.source), None)
        for event, appended_ms in self._ends.of(partition.partition):
            shard.end(event, appended_ms)
        if self.partitions.get(partition) is owned:
            consumer.seek(partition, shard.next_offset)
            resume(consumer, partition)
        log.info(
            "streams.opened partition=%s offset=%d seconds=%.2f %s",
            shard.source,
            shard.next_offset,
            time.monotonic() - began,
            shard.core.size(),
        )

"""Implements a consumer group in memory: a coordinator that assigns partitions, and its members.

Partitions move as in KIP-848 and in a cooperative rebalance: in each heartbeat a member says what it owns and is told
what it may own; a partition has a new owner only once the old one has given it up or was removed. It fences like a real
coordinator: a commit is refused by member, never by partition.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.model import Fenced, LogUnavailable, TopicPartition
from runbus.sink.api import Clock, FramedRecord
from runbus.sink.group import OnAssigned, OnRevoked, ReadBatch
from runbus.sink.memory.log import MemoryLog


class Coordinator(Protocol):
    """Answers members. `MemoryGroup` does, and a simulator in front of it."""

    async def join(self, topics: Iterable[str]) -> str:
        """Return the id of a new member."""

    async def heartbeat(self, member: str, owned: frozenset[TopicPartition]) -> frozenset[TopicPartition]:
        """Take what is owned; return what may be owned from now on. Raises Fenced, LogUnavailable."""

    async def commit(self, member: str, position: TopicPartition, offset: int, intent: Intent) -> None:
        """Commit. Raises Fenced if the member was removed, LogUnavailable."""

    async def fetch(self, at: dict[TopicPartition, int], limit: int) -> dict[TopicPartition, list[FramedRecord]]:
        """Return records from the given offsets on. Raises Restart, LogUnavailable."""

    async def leave(self, member: str) -> None:
        """Give everything up. Raises LogUnavailable."""


@dataclass(slots=True)
class MemoryGroup:
    """Coordinates one group.

    Attributes:
        log: its topics.
        partitions: how many each topic has.
        members: of the group, in the order of their arrival.
        owners: partition -> member that may own it.
    """

    log: MemoryLog
    partitions: dict[str, int]
    members: dict[str, frozenset[str]] = field(default_factory=dict)
    owners: dict[TopicPartition, str] = field(default_factory=dict)
    _joined: int = 0

    async def join(self, topics: Iterable[str]) -> str:
        """Add a member."""
        self._joined += 1
        member = f"member-{self._joined}"
        self.members[member] = frozenset(topics)
        return member

    async def heartbeat(self, member: str, owned: frozenset[TopicPartition]) -> frozenset[TopicPartition]:
        """Note what a member owns; return what it may own."""
        self._check(member)
        target = self._target(member)
        for position in [p for p, owner in self.owners.items() if owner == member]:
            if position not in owned and position not in target:
                del self.owners[position]  # given up
        for position in target:
            self.owners.setdefault(position, member)
        return frozenset(position for position in target if self.owners[position] == member)

    async def commit(self, member: str, position: TopicPartition, offset: int, intent: Intent) -> None:
        """Commit for a member of the group, whatever it owns."""
        self._check(member)
        self.log.committed[position] = Committed(offset, Intent.decode(intent.encode()))

    async def fetch(self, at: dict[TopicPartition, int], limit: int) -> dict[TopicPartition, list[FramedRecord]]:
        """Read."""
        return self.log.fetch(at, limit)

    async def leave(self, member: str) -> None:
        """Remove a member."""
        self.expel(member)

    def expel(self, member: str) -> None:
        """Remove a member, which may not know it; its partitions are free."""
        self.members.pop(member, None)
        self.owners = {position: owner for position, owner in self.owners.items() if owner != member}

    def _check(self, member: str) -> None:
        if member not in self.members:
            raise Fenced(f"{member} is not in the group")

    def _target(self, member: str) -> list[TopicPartition]:
        """Assign the partitions of each topic to the members in turn, in the order of their arrival."""
        names = list(self.members)
        return [
            TopicPartition(topic, number)
            for topic in sorted(self.members[member])
            if topic in self.log.topic_ids
            for number in range(self.partitions[topic])
            if names[number % len(names)] == member
        ]


class MemoryMember:
    """Reads and commits as a member of a MemoryGroup; see group.GroupMember.

    Args:
        group: the coordinator.
        clock: to wait for records.
    """

    def __init__(self, group: Coordinator, clock: Clock) -> None:
        self._group = group
        self._clock = clock
        self._topics: list[str] = []
        self._id = ""
        self._at: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._has_assignment = False

    async def subscribe(self, topics: list[str], on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """Remember what to join for; see group.GroupMember."""
        self._topics, self._on_assigned, self._on_revoked = topics, on_assigned, on_revoked

    async def read(self, limit: int, seconds: float) -> ReadBatch:
        """Heartbeat, change hands, fetch; see group.GroupMember."""
        batch = ReadBatch()
        try:
            await self._rebalance()
            wanted = {position: at for position, at in self._at.items() if position not in self._paused}
            found = await self._group.fetch(wanted, limit)
        except LogUnavailable:
            found = {}
        for position, records in found.items():
            if records:
                batch.records[position] = records
                self._at[position] = records[-1].offset + 1
            else:
                batch.reached[position] = self._at[position]
        if not batch.records:
            await self._clock.sleep(seconds)
        return batch

    async def _rebalance(self) -> None:
        if not self._id:
            self._id = await self._group.join(self._topics)
        owned = frozenset(self._at)
        try:
            granted = await self._group.heartbeat(self._id, owned)
        except Fenced:
            self._id = ""
            await self._revoke(sorted(owned), lost=True)
            return
        if owned - granted:
            await self._revoke(sorted(owned - granted), lost=False)
        if granted - owned or not self._has_assignment:
            self._has_assignment = True
            self._at |= await self._on_assigned(sorted(granted - owned))

    async def _revoke(self, positions: list[TopicPartition], *, lost: bool) -> None:
        await self._on_revoked(positions, lost)
        for position in positions:
            del self._at[position]
            self._paused.discard(position)

    async def commit(self, position: TopicPartition, offset: int, intent: Intent) -> None:
        """Commit; see group.GroupMember."""
        await self._group.commit(self._id, position, offset, intent)

    def pause(self, position: TopicPartition) -> None:
        """Stop fetching a partition."""
        self._paused.add(position)

    def resume(self, position: TopicPartition) -> None:
        """Fetch it again."""
        self._paused.discard(position)

    async def close(self) -> None:
        """Leave; see group.GroupMember."""
        if self._at:
            await self._revoke(sorted(self._at), lost=False)
        if self._id:
            await self._group.leave(self._id)

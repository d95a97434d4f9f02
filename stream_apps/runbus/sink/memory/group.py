"""A consumer group in memory: a coordinator that shares partitions out, and members that ask it.

It moves partitions the way KIP-848 does, which is the way of a cooperative rebalance too: a member says in each
heartbeat what it owns and is told what it may own; a partition has a new owner only once the old one has given it up or
was thrown out. And it fences like a real coordinator: a commit is refused for its member, never for its partition.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.model import Fenced, LogUnavailable, TopicPartition
from runbus.sink.api import Clock, FramedRecord
from runbus.sink.group import Batch, Closed, Opened
from runbus.sink.memory.log import MemoryLog


class Coordinator(Protocol):
    """What a member asks; `MemoryGroup` answers, and a simulator may stand between them."""

    async def join(self, topics: Iterable[str]) -> str:
        """Return the id of a new member."""

    async def heartbeat(self, member: str, owned: frozenset[TopicPartition]) -> frozenset[TopicPartition]:
        """Say what is owned; return what may be owned from now on. Raises Fenced, LogUnavailable."""

    async def commit(self, member: str, position: TopicPartition, offset: int, intent: Intent) -> None:
        """Commit. Raises Fenced where the member was thrown out, LogUnavailable."""

    async def fetch(self, at: dict[TopicPartition, int], limit: int) -> dict[TopicPartition, list[FramedRecord]]:
        """Return records from the given offsets on. Raises Restart, LogUnavailable."""

    async def leave(self, member: str) -> None:
        """Give everything up. Raises LogUnavailable."""


@dataclass(slots=True)
class MemoryGroup:
    """The coordinator of one group.

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
        """Take note of what it owns, and say what it may own."""
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
        """Remove a member, whether it knows or not; what it owned is free."""
        self.members.pop(member, None)
        self.owners = {position: owner for position, owner in self.owners.items() if owner != member}

    def _check(self, member: str) -> None:
        if member not in self.members:
            raise Fenced(f"{member} is not in the group")

    def _target(self, member: str) -> list[TopicPartition]:
        """Share every topic out over the members, in the order of their arrival."""
        names = list(self.members)
        return [
            TopicPartition(topic, number)
            for topic in sorted(self.members[member])
            if topic in self.log.topic_ids
            for number in range(self.partitions[topic])
            if names[number % len(names)] == member
        ]


class MemoryMember:
    """One membership; see group.Member.

    Args:
        group: the coordinator.
        clock: to wait for news.
    """

    def __init__(self, group: Coordinator, clock: Clock) -> None:
        self._group = group
        self._clock = clock
        self._topics: list[str] = []
        self._id = ""
        self._at: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._told = False

    async def subscribe(self, topics: list[str], opened: Opened, closed: Closed) -> None:
        """Remember what to join for; see group.Member."""
        self._topics, self._opened, self._closed = topics, opened, closed

    async def read(self, limit: int, seconds: float) -> Batch:
        """Heartbeat, change hands, fetch; see group.Member."""
        batch = Batch()
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
            await self._give(sorted(owned), lost=True)
            return
        if owned - granted:
            await self._give(sorted(owned - granted), lost=False)
        if granted - owned or not self._told:
            self._told = True
            self._at |= await self._opened(sorted(granted - owned))

    async def _give(self, positions: list[TopicPartition], *, lost: bool) -> None:
        await self._closed(positions, lost)
        for position in positions:
            del self._at[position]
            self._paused.discard(position)

    async def commit(self, position: TopicPartition, offset: int, intent: Intent) -> None:
        """Commit; see group.Member."""
        await self._group.commit(self._id, position, offset, intent)

    def pause(self, position: TopicPartition) -> None:
        """Stop fetching a partition."""
        self._paused.add(position)

    def resume(self, position: TopicPartition) -> None:
        """Fetch it again."""
        self._paused.discard(position)

    async def close(self) -> None:
        """Leave; see group.Member."""
        if self._at:
            await self._give(sorted(self._at), lost=False)
        if self._id:
            await self._group.leave(self._id)

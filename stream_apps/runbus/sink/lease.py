"""Fences commits by partition, which the group itself does not."""

from __future__ import annotations

import asyncio

from runbus.kafka.commit_metadata import Intent
from runbus.kafka.model import Fenced, TopicIdPartition
from runbus.sink.group import GroupMember, TopicIdLookup


class MemberLease:
    """Commits for one partition while its member owns it; see api.Lease.

    The broker's fence is per member, not per partition: a commit for a partition that this member gave away would be
    taken, once the member has its new generation. So the lease refuses commits once it is closed, and `close` waits
    for a commit that is under way.

    Args:
        member: of the group.
        source: the partition, with the id of its topic when it was assigned.
        topics: to confirm the id.
    """

    def __init__(self, member: GroupMember, source: TopicIdPartition, topics: TopicIdLookup) -> None:
        self.source = source
        self._member = member
        self._topics = topics
        self._owned = True
        self._under_way: set[asyncio.Task[None]] = set()
        self.committed = -1
        self.read_at = 0.0  # when the newest record of this lease was read

    async def commit(self, offset: int, intent: Intent) -> None:
        """Commit, unless the lease is closed; see api.Lease."""
        if not self._owned:
            raise Fenced(f"{self.source} was given away")
        task = asyncio.create_task(self._commit(offset, intent))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        task.add_done_callback(_retrieve)
        await asyncio.shield(task)

    async def _commit(self, offset: int, intent: Intent) -> None:
        await self._member.commit(self.source.position, offset, intent)
        self.committed = offset

    async def confirm(self) -> None:
        """Ask for the topic's id, unless it was asked for since the newest record was read; see api.Lease."""
        await self._topics.confirm(self.source.topic, self.source.topic_id, self.read_at)

    async def close(self, seconds: float) -> None:
        """Refuse further commits; return once those under way are answered, or after some seconds.

        A commit that is answered later may overwrite one of the next owner. Rows are then found behind the committed
        offset, and counted (flow.py), so nothing is stored twice.
        """
        self._owned = False
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=max(0.0, seconds))


def _retrieve(commit: asyncio.Task[None]) -> None:
    """Retrieve the outcome of a commit whose caller was cancelled with its flow."""
    if not commit.cancelled():
        commit.exception()

"""Defines what a session needs of a consumer group: a member, the group's offsets, the ids of topics.

`log.py`, `topics.py` and `runbus.kafka.offsets` implement it on Kafka, `memory/` without a broker. The obligations of
api.py hold here too.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.model import TopicPartition
from runbus.sink.api import FramedRecord


class Restart(Exception):
    """This membership has ended; a new one finds everything that it needs in the log."""


@dataclass(slots=True)
class ReadBatch:
    """The result of one read.

    Attributes:
        records: by partition, in order of offset.
        reached: partition -> offset up to which everything readable was read. Transaction markers and aborted records
            are never delivered, so it may be past the last record.
    """

    records: dict[TopicPartition, list[FramedRecord]] = field(default_factory=dict)
    reached: dict[TopicPartition, int] = field(default_factory=dict)


#: takes partitions over and returns the first offset to read of each; no partitions = the group assigned none
OnAssigned = Callable[[list[TopicPartition]], Coroutine[Any, Any, dict[TopicPartition, int]]]
#: gives partitions away; the flag says that they may have another owner already
OnRevoked = Callable[[list[TopicPartition], bool], Coroutine[Any, Any, None]]


class GroupMember(Protocol):
    """Reads and commits as one member of the group, from `subscribe` to `close`."""

    async def subscribe(self, topics: list[str], on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """Join the group. Both callbacks run inside `read` and `close`; nothing is read meanwhile."""

    async def read(self, limit: int, seconds: float) -> ReadBatch:
        """Return what arrives; nothing of an assignment that has ended.

        Args:
            limit: of records.
            seconds: to wait at most.

        Raises:
            Restart: an offset or a topic does not exist any more, or the client gave up.
            RunBusError: a person has to act.
        """

    async def commit(self, position: TopicPartition, offset: int, intent: Intent) -> None:
        """Commit; on return the coordinator has it. Raises Fenced, LogUnavailable.

        The group's fence is per member: while this member is in the group, its commit for a partition that it gave
        away is taken. So the caller must know that it owns the partition (lease.py).
        """

    def pause(self, position: TopicPartition) -> None:
        """Stop fetching a partition; the member stays in the group."""

    def resume(self, position: TopicPartition) -> None:
        """Fetch a partition again, from behind the last record that was read."""

    async def close(self) -> None:
        """Leave the group; `on_revoked` is called for what is still owned."""


class GroupOffsets(Protocol):
    """Reads what the group committed and what the log has."""

    async def committed(self, positions: Sequence[TopicPartition]) -> dict[TopicPartition, Committed | None]:
        """Return what the group committed for each partition. Raises LogUnavailable."""

    async def bounds(self, positions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Return (first offset, offset after the last) of each partition's log. Raises LogUnavailable."""


class TopicIdLookup(Protocol):
    """Looks up which topic has a name now."""

    async def ids(self, since: float) -> dict[str, str]:
        """Return name -> id, asked not before `since`; absent = no such topic. Raises LogUnavailable."""

    async def confirm(self, name: str, topic_id: str, since: float) -> None:
        """Raise Fenced unless `name` was still the topic `topic_id` at some moment after `since`."""

"""The contract between a session and a consumer group: a member, the group's positions, what topics are called.

`log.py`, `topics.py` and `runbus.kafka.offsets` are Kafka; `memory/` has all of it without a broker. Like in api.py,
every `async` call may take for ever, be cancelled, and still take effect later.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from runbus.kafka.commit_metadata import Committed, Intent
from runbus.kafka.model import TopicPartition
from runbus.sink.api import FramedRecord


class Restart(Exception):
    """This membership is of no use any more; a new one will find everything it needs in the log."""


@dataclass(slots=True)
class Batch:
    """What one read brought.

    Attributes:
        records: by partition, in order of offset.
        reached: partition -> offset up to which everything that can be read was read. Offsets of transaction markers
            and of aborted records are never delivered, so it may be past the last record.
    """

    records: dict[TopicPartition, list[FramedRecord]] = field(default_factory=dict)
    reached: dict[TopicPartition, int] = field(default_factory=dict)


#: coroutine that takes partitions over and returns where to read each from; none = the group gave us nothing
Opened = Callable[[list[TopicPartition]], Coroutine[Any, Any, dict[TopicPartition, int]]]
#: coroutine that gives partitions away; the flag says that somebody may own them already
Closed = Callable[[list[TopicPartition], bool], Coroutine[Any, Any, None]]


class Member(Protocol):
    """One membership of the group, from `subscribe` to `close`."""

    async def subscribe(self, topics: list[str], opened: Opened, closed: Closed) -> None:
        """Join the group. Both callbacks run inside `read` and `close`; nothing is read meanwhile."""

    async def read(self, limit: int, seconds: float) -> Batch:
        """Return what arrives within `seconds`, at most `limit` records; nothing of an assignment that ended.

        Args:
            limit: most records.
            seconds: longest wait.

        Raises:
            Restart: an offset or a topic is gone, or the client is of no use any more.
            RunBusError: a person has to act.
        """

    async def commit(self, position: TopicPartition, offset: int, intent: Intent) -> None:
        """Commit synchronously. Raises Fenced, LogUnavailable.

        The group's fence is per member: while this one is in the group, its commit for a partition that it gave away
        is taken. Whoever calls this must know that the partition is his (lease.py).
        """

    def pause(self, position: TopicPartition) -> None:
        """Stop fetching a partition; polling goes on, so the session stays alive."""

    def resume(self, position: TopicPartition) -> None:
        """Fetch it again, from behind the last record that was read."""

    async def close(self) -> None:
        """Leave the group; `closed` is called for what is still owned."""


class Offsets(Protocol):
    """What the group committed and what the log has."""

    async def committed(self, positions: Sequence[TopicPartition]) -> dict[TopicPartition, Committed | None]:
        """Return what the group committed for each partition. Raises LogUnavailable."""

    async def bounds(self, positions: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Return (first offset, offset after the last) of each partition's log. Raises LogUnavailable."""


class Topics(Protocol):
    """Which topic stands behind a name now."""

    async def ids(self, since: float) -> dict[str, str]:
        """Return name -> id, asked not before `since`; a missing topic is absent. Raises LogUnavailable."""

    async def confirm(self, name: str, topic_id: str, since: float) -> None:
        """Raise Fenced unless `name` was still the topic `topic_id` at some moment after `since`."""

"""Defines what is known of the position of a group in one partition."""

from __future__ import annotations

from dataclasses import dataclass

from runbus.cursors.own_groups import Kind
from runbus.kafka.commit_metadata import Intent
from runbus.kafka.groups import Group, GroupMember
from runbus.kafka.model import Lag, TopicPartition

#: What is deleted within this part of its retention is in danger: a day and a half of a week.
_DANGER = 0.2


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of a group in one partition.

    Attributes:
        at: the partition.
        committed: the next offset that the group reads; None = it has committed none here.
        intent: what the sink wrote beside it.
        beginning: first offset of the log.
        end: where reading ends now: before the first transaction that is open.
        next_ms: time of the next record that is not read yet, milliseconds since the epoch; None = nothing is left.
        retention_ms: how old a record of the topic may become; -1 = any age.
    """

    at: TopicPartition
    committed: int | None
    intent: Intent | None
    beginning: int
    end: int
    next_ms: int | None = None
    retention_ms: int = -1

    @property
    def position(self) -> int:
        """The next offset that can be read: a group that has committed none begins where the log does."""
        return self.beginning if self.committed is None else max(self.committed, self.beginning)

    @property
    def deleted(self) -> int:
        """How many offsets behind the committed one retention has deleted: nobody in this group read them."""
        return 0 if self.committed is None else max(0, self.beginning - self.committed)

    def lag(self, now_ms: int) -> Lag:
        """Return what is left to read, and the age of the first of it."""
        if self.next_ms is None:
            return Lag(0, 0)
        return Lag(max(0, self.end - self.position), max(0, now_ms - self.next_ms))

    def kept_ms(self, now_ms: int) -> int | None:
        """Return for how long the next record is still safe from retention; None = for ever, or nothing is left.

        Below 0 it may be deleted at any time: the broker deletes whole segments, and looks at them every few minutes.
        """
        if self.next_ms is None or self.retention_ms < 0:
            return None
        return self.next_ms + self.retention_ms - now_ms

    def in_danger(self, now_ms: int) -> bool:
        """Whether retention deletes the next record soon."""
        left = self.kept_ms(now_ms)
        return left is not None and left < self.retention_ms * _DANGER


@dataclass(frozen=True, slots=True)
class GroupCursors:
    """A group and its positions."""

    group: Group
    kind: Kind
    cursors: tuple[Cursor, ...]

    @property
    def committed(self) -> int:
        """How many partitions it has committed an offset in."""
        return sum(cursor.committed is not None for cursor in self.cursors)

    def lag(self, now_ms: int) -> Lag:
        """Return the sum of what is left to read, and the age of the oldest of it."""
        lags = [cursor.lag(now_ms) for cursor in self.cursors]
        return Lag(sum(lag.events for lag in lags), max((lag.milliseconds for lag in lags), default=0))

    def owner(self, cursor: Cursor) -> GroupMember | None:
        """Return the member that reads a partition."""
        return self.group.owner(cursor.at)

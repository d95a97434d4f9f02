"""Reads the positions of groups from the broker: nothing here is remembered, and nothing is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from confluent_kafka.admin import AdminClient

from runbus.config.errors import RunBusError
from runbus.cursors.next_records import next_times
from runbus.cursors.own_groups import Names
from runbus.cursors.positions import Cursor, GroupCursors
from runbus.cursors.retention import retentions
from runbus.kafka.admin import ask_topics
from runbus.kafka.clients import admin_client, new_bounds_reader, new_offsets_reader
from runbus.kafka.commit_metadata import Committed
from runbus.kafka.errors import BrokerUnavailable
from runbus.kafka.groups import MISSING, Group, describe_groups, list_groups
from runbus.kafka.model import LogUnavailable, TopicPartition
from runbus.kafka.offsets import KafkaOffsets, LogBounds
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.threads import in_thread

# The first request: a healthy broker answers in milliseconds; past this it is down, so say so.
_ANSWER_S = 5.0
# Groups that are asked at a time: each is a client of its own, with threads and a connection to its coordinator.
_AT_ONCE = 8
_CLOSE_S = 2.0
_ASK_S = 10.0  # a question to a broker that hangs
T = TypeVar("T")


class NoSuchGroup(RunBusError):
    """The broker has no such group, and it has committed nothing here."""


class CursorReader:
    """Asks one broker about the groups of one installation.

    Args:
        settings: of the broker.
        names: of the installation.
    """

    def __init__(self, settings: KafkaSettings, names: Names) -> None:
        self.settings = settings
        self.names = names
        self.admin: AdminClient = admin_client(settings)

    def partitions(self) -> list[TopicPartition]:
        """Return every partition that a group may read, as the broker has them. Raises BrokerUnavailable."""
        there = ask_topics(self.settings, self.admin, _ANSWER_S)
        readable = self.names.readable()
        return [TopicPartition(name, number) for name in readable for number in range(there.get(name, 0))]

    def has_topic(self, name: str) -> bool:
        """Return whether the broker has a topic of this full name. Raises BrokerUnavailable."""
        return name in ask_topics(self.settings, self.admin, _ANSWER_S)

    def all(self) -> list[GroupCursors]:
        """Return the groups of the installation, then each other one that has committed here. Raises RunBusError."""
        partitions = self.partitions()
        own = self.names.own_groups()
        others = [name for name in list_groups(self.settings, self.admin) if name not in own]
        described = describe_groups(self.settings, self.admin, [*own, *others])
        with self._translated():
            found = asyncio.run(self._cursors(partitions, [described[name] for name in (*own, *others)]))
        return [group for group in found if group.group.name in own or group.committed]

    def one(self, name: str) -> GroupCursors:
        """Return one group. Raises NoSuchGroup, RunBusError."""
        found = self.found(name)
        if found.group.state == MISSING and not found.committed and found.kind == "user":
            raise NoSuchGroup(f"no group {name!r} has a position here: `runbus cursors list` shows those that have")
        return found

    def found(self, name: str) -> GroupCursors:
        """Return one group, also one that the broker does not know. Raises RunBusError."""
        partitions, group = self.partitions(), self.describe(name)
        with self._translated():
            (found,) = asyncio.run(self._cursors(partitions, [group]))
        return found

    def bounds(self, topic: str) -> list[Cursor]:
        """Return the partitions of a topic, as a group sees them that has committed nothing. Raises RunBusError."""
        partitions = [at for at in self.partitions() if at.topic == topic]
        with self._translated():
            return asyncio.run(self._bounds(partitions))

    async def _bounds(self, partitions: list[TopicPartition]) -> list[Cursor]:
        log = LogBounds(new_bounds_reader(self.settings), _ASK_S)
        try:
            bounds = await log.now(partitions)
        finally:
            await log.close(_CLOSE_S)
        return [Cursor(at, None, None, *bounds[at]) for at in partitions]

    def describe(self, name: str) -> Group:
        """Return a group as its coordinator has it now. Raises RunBusError."""
        return describe_groups(self.settings, self.admin, [name])[name]

    async def _cursors(self, partitions: list[TopicPartition], groups: Sequence[Group]) -> list[GroupCursors]:
        empty = {cursor.at: cursor for cursor in await self._bounds(partitions)}
        limit = asyncio.Semaphore(_AT_ONCE)
        committed = await _gathered([self._committed(limit, group.name, partitions) for group in groups])
        found = []
        for group, offsets_of in zip(groups, committed, strict=True):
            read_by = self.names.read_by(group.name)
            shown = [at for at in partitions if offsets_of[at] is not None or at.topic in read_by]
            cursors = tuple(_standing(empty[at], offsets_of[at]) for at in shown)
            found.append(GroupCursors(group, self.names.kind(group.name), cursors))
        return await self._with_times(found)

    async def _committed(
        self, limit: asyncio.Semaphore, group: str, partitions: list[TopicPartition]
    ) -> dict[TopicPartition, Committed | None]:
        async with limit:
            offsets = KafkaOffsets(new_offsets_reader(self.settings, group))
            try:
                return await offsets.committed(partitions)
            finally:
                await offsets.close(_CLOSE_S)

    async def _with_times(self, groups: list[GroupCursors]) -> list[GroupCursors]:
        behind = {(c.at, c.position) for group in groups for c in group.cursors if c.position < c.end}
        name = groups[0].group.name
        times = await in_thread(lambda: next_times(self.settings, name, behind), "runbus-cursors")
        topics = {cursor.at.topic for group in groups for cursor in group.cursors}
        kept = await in_thread(lambda: retentions(self.admin, self.names, topics), "runbus-cursors")
        return [
            replace(
                group,
                cursors=tuple(
                    replace(c, next_ms=times.get((c.at, c.position)), retention_ms=kept[c.at.topic])
                    for c in group.cursors
                ),
            )
            for group in groups
        ]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except LogUnavailable as error:
            raise BrokerUnavailable(
                f"{self.settings.bootstrap_servers} does not say where groups are: {error}"
            ) from error


def _standing(cursor: Cursor, committed: Committed | None) -> Cursor:
    return cursor if committed is None else replace(cursor, committed=committed.offset, intent=committed.intent)


async def _gathered(calls: Sequence[Awaitable[T]]) -> list[T]:
    return list(await asyncio.gather(*calls))

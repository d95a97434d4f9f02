"""Asks the broker twice a second where the installation's groups stand, and now and then where everybody else's do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from runbus.config.errors import RunBusError
from runbus.cursors.next_records import Place, next_times
from runbus.cursors.own_groups import Names
from runbus.cursors.positions import Cursor, GroupCursors
from runbus.cursors.reading import CursorReader
from runbus.cursors.retention import retentions
from runbus.kafka.clients import admin_client, new_bounds_reader, new_offsets_reader
from runbus.kafka.commit_metadata import Committed
from runbus.kafka.groups import Group, describe_groups
from runbus.kafka.model import LogUnavailable, TopicPartition
from runbus.kafka.offsets import KafkaOffsets, LogBounds
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.threads import in_thread
from runbus.watchdog.ends import EndHistory
from runbus.watchdog.groups import Look

_CLOSE_S = 2.0
# How long records are kept is changed by a person.
_KEPT_S = 10.0
# Two requests to the leaders; a healthy broker answers in a millisecond.
_BOUNDS_S = 3.0
_NAME = "runbus-watchdog"
# Who stands still for so long is looked at closely: the record that it should read next is read, once.
_STANDS_S = 1.5


class OwnGroups:
    """Looks at the groups of the installation, with clients that stay.

    Args:
        settings: of the broker.
        names: of the installation.
        partitions: of each topic, by full name.
    """

    def __init__(self, settings: KafkaSettings, names: Names, partitions: Mapping[str, int]) -> None:
        self._settings = settings
        self._names = names
        self._admin = admin_client(settings)
        self._offsets = {group: KafkaOffsets(new_offsets_reader(settings, group)) for group in names.own_groups()}
        self._read_by = {
            group: [TopicPartition(topic, n) for topic in names.read_by(group) for n in range(partitions[topic])]
            for group in names.own_groups()
        }
        self._all = sorted({at for read in self._read_by.values() for at in read})
        self._history = EndHistory()
        self._next: dict[Place, _Next] = {}
        self._stands: dict[Place, float] = {}
        self._bounds = LogBounds(new_bounds_reader(settings), _BOUNDS_S)
        self._kept: dict[str, int] = {}
        self._kept_at = float("-inf")

    async def look(self) -> Look:
        """Return where they stand. Raises LogUnavailable, RunBusError."""
        try:
            return await self._look()
        except (LogUnavailable, RunBusError):
            # One of librdkafka 2.16 that asked for a coordinator while the broker died gets no answer any more.
            self._admin = admin_client(self._settings)
            raise

    async def _look(self) -> Look:
        bounds = await self._bounds.now(self._all)
        await self._learn_how_long_records_are_kept()
        describe = partial(describe_groups, self._settings, self._admin, list(self._offsets))
        asked = asyncio.gather(*(self._offsets[name].committed(read) for name, read in self._read_by.items()))
        described, committed = await asyncio.gather(in_thread(describe, _NAME), asked)
        at, now_ms = time.monotonic(), time.time_ns() // 1_000_000
        for place, (_, end) in bounds.items():
            self._history.add(place, end, now_ms)
        groups = [
            self._standing(described[name], found, bounds) for name, found in zip(self._offsets, committed, strict=True)
        ]
        return Look(at, now_ms, tuple(await self._with_times(groups, at)))

    async def close(self) -> None:
        """Close the clients."""
        await asyncio.gather(self._bounds.close(_CLOSE_S), *(asked.close(_CLOSE_S) for asked in self._offsets.values()))

    async def _learn_how_long_records_are_kept(self) -> None:
        """Ask for it, if that was asked long ago."""
        now = time.monotonic()
        if now - self._kept_at >= _KEPT_S:
            topics = {at.topic for at in self._all}
            self._kept = await in_thread(lambda: retentions(self._admin, self._names, topics), _NAME)
            self._kept_at = now

    def _standing(
        self,
        group: Group,
        committed: Mapping[TopicPartition, Committed | None],
        bounds: Mapping[TopicPartition, tuple[int, int]],
    ) -> GroupCursors:
        cursors = tuple(
            Cursor(at, found and found.offset, found and found.intent, *bounds[at], None, self._kept[at.topic])
            for at, found in committed.items()
        )
        return GroupCursors(group, self._names.kind(group.name), cursors)

    async def _with_times(self, groups: list[GroupCursors], now: float) -> list[GroupCursors]:
        """Return them with the time of what is next: from the moves of the ends, and of who stands still by reading."""
        behind = {(c.at, c.position): c.end for group in groups for c in group.cursors if c.position < c.end}
        self._stands = {place: self._stands.get(place, now) for place in behind}
        self._next = {place: found for place, found in self._next.items() if place in behind}
        if unread := [place for place, end in behind.items() if self._has_to_be_read(place, end, now)]:
            name = groups[0].group.name
            found = await in_thread(lambda: next_times(self._settings, name, unread), _NAME)
            self._next |= {place: _Next(found.get(place), behind[place]) for place in unread}
        return [
            replace(group, cursors=tuple(replace(c, next_ms=self._next_ms(c)) for c in group.cursors))
            for group in groups
        ]

    def _has_to_be_read(self, place: Place, end: int, now: float) -> bool:
        known = self._next.get(place)
        if known is not None:
            return known.time_ms is None and end > known.end
        return now - self._stands[place] >= _STANDS_S or self._history.arrival_ms(*place) is None

    def _next_ms(self, cursor: Cursor) -> int | None:
        if cursor.position >= cursor.end:
            return None
        known = self._next.get((cursor.at, cursor.position))
        return self._history.arrival_ms(cursor.at, cursor.position) if known is None else known.time_ms


class _Next(NamedTuple):
    """The time of the record at a place; None = up to `end` there was none that can be read."""

    time_ms: int | None
    end: int


def user_groups(settings: KafkaSettings, names: Names) -> Look:
    """Return where everybody else's groups stand; a new client each, so not often. Raises RunBusError."""
    found = CursorReader(settings, names).all()
    at, now_ms = time.monotonic(), time.time_ns() // 1_000_000
    return Look(at, now_ms, tuple(group for group in found if group.kind == "user"))

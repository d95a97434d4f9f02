"""Knows up to where ClickHouse has the log: what the sink committed, as its heartbeats say. Pure."""

from __future__ import annotations

from collections.abc import Mapping


class Below:
    """The sink's committed offset of each partition.

    Below it everything is stored, or a dead letter: the sink commits the start of a range before it inserts it, and
    moves on once the range is stored (docs/sink.md). Of several processes of the sink each has its own partitions, and
    who gave one up says an older position than who has it now, unless the group was reset: so the newest heartbeat
    about a partition counts.
    """

    def __init__(self) -> None:
        self._offsets: dict[str, int] = {}
        self._said_at: dict[str, int] = {}
        #: Grows with every change.
        self.version = 0

    def take(self, committed: Mapping[str, int], sent_at: int) -> None:
        """Take what a heartbeat of the sink says, by `topic:partition`."""
        for place, offset in committed.items():
            if sent_at < self._said_at.get(place, 0):
                continue
            self._said_at[place] = sent_at
            if self._offsets.get(place) != offset:
                self._offsets[place] = offset
                self.version += 1

    def all(self) -> Mapping[str, int]:
        """Return every position, by `topic:partition`."""
        return self._offsets

    def of(self, topic: str) -> dict[int, int]:
        """Return partition -> position of a topic, by its full name."""
        start = f"{topic}:"
        return {int(place[len(start) :]): at for place, at in self._offsets.items() if place.startswith(start)}

    def at(self, topic: str, partition: int) -> int:
        """Return the position of one partition; 0 = none is known."""
        return self._offsets.get(f"{topic}:{partition}", 0)

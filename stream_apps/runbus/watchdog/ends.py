"""Remembers when the ends of partitions passed an offset: so the age of a lag is known without reading a record."""

from __future__ import annotations

from collections import deque

from runbus.kafka.model import TopicPartition

_MOST = 600  # moves of one partition: five minutes of a busy one


class EndHistory:
    """The ends of all partitions, as they moved."""

    def __init__(self) -> None:
        self._moves: dict[TopicPartition, deque[tuple[int, int]]] = {}  # the end, and when it was first seen
        self._last: dict[TopicPartition, int] = {}

    def add(self, at: TopicPartition, end: int, now_ms: int) -> None:
        """The end of a partition was asked for now; `now_ms` is milliseconds since the epoch."""
        if self._last.get(at) != end:
            self._moves.setdefault(at, deque(maxlen=_MOST)).append((end, now_ms))
            self._last[at] = end

    def arrival_ms(self, at: TopicPartition, offset: int) -> int | None:
        """Return when the record at `offset` was first seen to be there; None = before anybody looked, or not yet.

        It came after the look before: at most one interval earlier.
        """
        moves = self._moves.get(at, ())
        for index, (end, seen_ms) in enumerate(moves):
            if end > offset:
                return seen_ms if index else None
        return None

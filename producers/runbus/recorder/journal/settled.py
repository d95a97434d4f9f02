"""Tells up to where the rows of a stream are delivered or given up, without a hole."""

from __future__ import annotations

import threading
from typing import NamedTuple

from runbus.recorder.journal.format import NO_PARTITION, Ack


class _Stretch(NamedTuple):
    end: int
    dropped: int
    partition: int
    offset: int


class Settled:
    """Merges what Kafka acknowledged and what was given up. Thread safe."""

    def __init__(self, begin: Ack | None = None) -> None:
        self._lock = threading.Lock()
        self._ack = begin or Ack(NO_PARTITION, -1, 0, 0)
        self._ahead: dict[int, _Stretch] = {}

    @property
    def ack(self) -> Ack:
        """How far it has come: see Ack."""
        return self._ack

    def add(self, first: int, count: int, *, dropped: bool, partition: int = NO_PARTITION, offset: int = -1) -> bool:
        """Note rows from `first` on, and where their record is; return whether the stream is further than before.

        The offset of an ack is the lowest one of the records that moved it, so that nothing unacknowledged lies below.
        """
        with self._lock:
            self._ahead[first] = _Stretch(first + count, count if dropped else 0, partition, offset)
            before = at = self._ack.next_seq
            lost, places = self._ack.dropped, []
            while (found := self._ahead.pop(at, None)) is not None:
                at, lost = found.end, lost + found.dropped
                if found.partition != NO_PARTITION:
                    places.append((found.partition, found.offset))
            if at == before:
                return False
            place = self._place(places)
            self._ack = Ack(*place, at, lost)
            return True

    def _place(self, places: list[tuple[int, int]]) -> tuple[int, int]:
        if not places:
            return self._ack.partition, self._ack.offset
        newest = places[-1][0]  # a topic that grows sends what follows to another partition
        return newest, min(offset for partition, offset in places if partition == newest)

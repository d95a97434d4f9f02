"""Keeps the finalised episodes that history may not have yet, and for a while longer. Pure: time is given."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

#: A page asks history after it has begun to follow: for so long an episode is here although history has it.
_STAYS_S = 60.0
#: Of all runs together, if the sink is far behind. About 60 MB.
_MOST = 100_000


class Finalised(NamedTuple):
    """One record of `episodes`.

    Attributes:
        run: the run.
        key: `agent/attempt/env/episode`.
        row: what pages get of it.
        partition, offset: where it lies.
        arrived: when it was read.
    """

    run: str
    key: str
    row: dict[str, Any]
    partition: int
    offset: int
    arrived: float


class RecentEpisodes:
    """The newest revision of each episode that lies at or above the sink's position, or was there lately."""

    def __init__(self) -> None:
        self._order: deque[Finalised] = deque()
        self._by_run: dict[str, dict[str, Finalised]] = {}
        #: How many had to go before history had them.
        self.left_out = 0

    def __len__(self) -> int:
        return len(self._order)

    def add(self, episode: Finalised) -> None:
        """Take one; a revision that is older than what is known changes nothing."""
        known = self._by_run.setdefault(episode.run, {})
        before = known.get(episode.key)
        if before is not None and before.row["revision"] > episode.row["revision"]:
            return
        known[episode.key] = episode
        self._order.append(episode)

    def of(self, run: str) -> dict[str, Finalised]:
        """Return those of a run, by key."""
        return self._by_run.get(run, {})

    def expire(self, below: Callable[[int], int], now: float) -> Iterator[Finalised]:
        """Yield and forget what history has had for long, and the oldest of too many.

        Args:
            below: the offset below which everything in a partition is stored.
            now: in seconds.
        """
        while self._order:
            oldest = self._order[0]
            stored = oldest.offset < below(oldest.partition)
            if len(self._order) <= _MOST and not (stored and now - oldest.arrived > _STAYS_S):
                return
            self._order.popleft()
            known = self._by_run.get(oldest.run, {})
            if known.get(oldest.key) is not oldest:
                continue  # a newer revision of it is here
            del known[oldest.key]
            if not known:
                del self._by_run[oldest.run]
            self.left_out += not stored
            yield oldest

"""Finds which gaps of a stream can hold rows of an episode.

In an env episodes ascend. So a gap can hold rows of an episode if the rows before it do not end with a higher one, and
the rows after it do not begin with a lower one. Rows between gaps are kept only while their stream has gaps.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

Gap = tuple[int, int]


class RowsBetweenGaps(NamedTuple):
    """Rows of one env from `first` to `last` (seq) with no gap of the stream between them.

    The first row is of episode `low`, the last one of episode `high`.
    """

    first: int
    last: int
    low: int
    high: int


class GapNeighbours:
    """The rows around the gaps of one stream, by env, ascending, each at least one gap after the one before."""

    def __init__(self) -> None:
        self.by_env: dict[int, list[RowsBetweenGaps]] = {}

    def add(self, env: int, rows: RowsBetweenGaps, gaps: list[Gap]) -> None:
        """Take the rows of one episode in one batch; `gaps` are those of the stream after the batch."""
        known = self.by_env.setdefault(env, [])
        if known and rows.first <= known[-1].last:
            self.by_env[env] = _joined(sorted([*known, rows]), gaps)
        elif known and gaps[-1][0] < known[-1].last:
            known[-1] = RowsBetweenGaps(known[-1].first, rows.last, known[-1].low, rows.high)
        else:
            known.append(rows)
            if len(known) > 1 and not gap_between(gaps, known[-2].last, rows.first):
                self.by_env[env] = _joined(known, gaps)

    def knows(self, env: int, episode: int, seq: int) -> bool:
        """Return whether rows of an episode were seen next to the gap that `seq` was in."""
        known = self.by_env.get(env, [])
        after = bisect_left(known, seq, key=lambda rows: rows.first)
        before_is = after > 0 and known[after - 1].high == episode
        return before_is or (after < len(known) and known[after].low == episode)

    def settle(self, gaps: list[Gap]) -> None:
        """Forget what is not needed any more after gaps were filled."""
        if gaps:
            self.by_env = {env: _joined(known, gaps) for env, known in self.by_env.items()}
        else:
            self.by_env = {}

    def can_hold(self, gap: Gap, env: int, episode: int) -> bool:
        """Return whether rows of an episode can be in a gap."""
        known = self.by_env.get(env, [])
        after = bisect_left(known, gap[0], key=lambda rows: rows.first)
        before_fits = after == 0 or known[after - 1].high <= episode
        return before_fits and (after == len(known) or known[after].low >= episode)


def gap_between(gaps: list[Gap], low: int, high: int) -> bool:
    """Return whether a gap lies between two seq that were received."""
    index = bisect_left(gaps, (low, low))
    return index < len(gaps) and gaps[index][0] < high


def _joined(ascending: Iterable[RowsBetweenGaps], gaps: list[Gap]) -> list[RowsBetweenGaps]:
    joined: list[RowsBetweenGaps] = []
    for rows in ascending:
        if joined and not gap_between(gaps, joined[-1].last, rows.first):
            before = joined[-1]
            last, high = (before.last, before.high) if before.last >= rows.last else (rows.last, rows.high)
            joined[-1] = RowsBetweenGaps(before.first, last, before.low, high)
        else:
            joined.append(rows)
    return joined

"""Counts durations in buckets, as a histogram of Prometheus shows them."""

from __future__ import annotations

from bisect import bisect_left

#: seconds; the upper ends of the buckets; the last bucket has none
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Durations:
    """Durations since the process started. Of constant size; not for several threads."""

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    @property
    def count(self) -> int:
        """The number of durations."""
        return sum(self._counts)

    def buckets(self) -> list[tuple[str, int]]:
        """Return (upper end, number of durations up to it), the last one `+Inf` = all of them."""
        found, below = [], 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self._counts, strict=True):
            below += count
            found.append((bound, below))
        return found

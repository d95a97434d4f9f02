"""Keeps sets of numbers that come in long runs: offsets, seqs."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class IntervalSet:
    """Disjoint ranges, both ends included; adjacent ranges are one. Memory grows with the ranges, not the numbers."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._lasts, strict=True)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    @property
    def count(self) -> int:
        """How many numbers are in the set."""
        return sum(last - first + 1 for first, last in self)

    def overlap(self, first: int, last: int) -> int:
        """Return how many of `first` to `last` are in the set."""
        at, to = bisect_left(self._lasts, first), bisect_right(self._firsts, last)
        pairs = zip(self._firsts[at:to], self._lasts[at:to], strict=True)
        return sum(min(hi, last) - max(lo, first) + 1 for lo, hi in pairs)

    def add(self, first: int, last: int) -> None:
        """Add `first` to `last`."""
        at = bisect_left(self._lasts, first - 1)  # the ranges that it touches
        to = bisect_right(self._firsts, last + 1)
        if at < to:
            first, last = min(first, self._firsts[at]), max(last, self._lasts[to - 1])
        self._firsts[at:to], self._lasts[at:to] = [first], [last]

    def remove(self, first: int, last: int) -> None:
        """Remove `first` to `last`."""
        at = bisect_left(self._lasts, first)  # the ranges that have some of it
        to = bisect_right(self._firsts, last)
        if at >= to:
            return
        rest = [(self._firsts[at], first - 1), (last + 1, self._lasts[to - 1])]
        kept = [(lo, hi) for lo, hi in rest if lo <= hi]
        self._firsts[at:to], self._lasts[at:to] = [lo for lo, _ in kept], [hi for _, hi in kept]

"""Chooses the bins of a curve: as wide as a power of two, with edges at its multiples, so old bins never change."""

from __future__ import annotations

#: Points are given as they are if they are no more than this many times the bins that were asked for.
RAW_PER_BIN = 2


def width_of(first: int, last: int, bins: int) -> int:
    """Return the least power of two of which `bins` cover the points from `first` to `last`.

    One bin more may be needed, as the edges are multiples of the width.
    """
    span = max(1, last - first + 1)
    width = 1
    while width * bins < span:
        width *= 2
    return width


def whole(first: int, last: int, width: int) -> tuple[int, int]:
    """Return a range that holds the points from `first` to `last` and no part of a bin."""
    return first - first % width, last - last % width + width - 1

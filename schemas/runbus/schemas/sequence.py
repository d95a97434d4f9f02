"""Tracks which steps of a stream have arrived: a step is taken once, whatever is sent again, late or out of order."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

#: So many missing ranges are kept per stream; 4 KiB of state.
MAX_GAPS = 256

_HEAD = struct.Struct("<BqqH")  # version, next_seq, given_up, number of gaps
_GAP = struct.Struct("<qq")
_VERSION = 1


class Arrival(NamedTuple):
    """The rows of a batch that are new.

    Attributes:
        fresh: (count,) of bool, the rows that had not arrived before; None = every row.
        duplicates: how many had arrived before, or belong to a gap that was given up.
        late: how many filled a gap.
    """

    fresh: NDArray[np.bool_] | None
    duplicates: int
    late: int


_ALL_NEW = Arrival(None, 0, 0)


@dataclass(slots=True)
class SequenceTracker:
    """Keeps which seq of one stream arrived.

    Attributes:
        next_seq: one past the highest seq that arrived.
        gaps: missing ranges below next_seq, both ends included, ascending and disjoint, at most MAX_GAPS.
        given_up: steps of the oldest gaps, forgotten to stay within MAX_GAPS: if they come they count as duplicates.
    """

    next_seq: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)
    given_up: int = 0

    def take(self, first_seq: int, count: int) -> Arrival:
        """Note that `count` rows from `first_seq` arrived, and return which of them are new."""
        if first_seq >= self.next_seq:
            if first_seq > self.next_seq:
                self._keep([*self.gaps, (self.next_seq, first_seq - 1)])
            self.next_seq = first_seq + count
            return _ALL_NEW
        return self._take_again(first_seq, count)

    def _take_again(self, first_seq: int, count: int) -> Arrival:
        last_seq = first_seq + count - 1
        fresh = np.zeros(count, np.bool_)
        left: list[tuple[int, int]] = []
        late = 0
        for low, high in self.gaps:
            begin, end = max(low, first_seq), min(high, last_seq)
            if begin > end:
                left.append((low, high))
                continue
            fresh[begin - first_seq : end - first_seq + 1] = True
            late += end - begin + 1
            if low < begin:
                left.append((low, begin - 1))
            if end < high:
                left.append((end + 1, high))
        if last_seq >= self.next_seq:
            fresh[self.next_seq - first_seq :] = True
            self.next_seq = last_seq + 1
        if late:
            self._keep(left)
        duplicates = count - int(np.count_nonzero(fresh))
        return Arrival(fresh if duplicates else None, duplicates, late)

    def _keep(self, gaps: list[tuple[int, int]]) -> None:
        self.gaps = gaps
        while len(self.gaps) > MAX_GAPS:
            self.give_up_oldest()

    def give_up_oldest(self) -> None:
        """Forget the oldest gap; there must be one."""
        (low, high), *self.gaps = self.gaps
        self.given_up += high - low + 1

    def encode(self) -> bytes:
        """Return it as bytes, for the state."""
        head = _HEAD.pack(_VERSION, self.next_seq, self.given_up, len(self.gaps))
        return head + b"".join(_GAP.pack(*gap) for gap in self.gaps)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return what `encode` wrote. Raises ValueError if it is something else."""
        if len(data) < _HEAD.size:
            raise ValueError(f"{len(data)} bytes are no state of a sequence")
        version, next_seq, given_up, count = _HEAD.unpack_from(data)
        if version != _VERSION or len(data) != _HEAD.size + count * _GAP.size:
            raise ValueError(f"version {version}, {len(data)} bytes: no state of a sequence that this version reads")
        return cls(next_seq, [(low, high) for low, high in _GAP.iter_unpack(data[_HEAD.size :])], given_up)


def runs_of(fresh: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """Return the stretches [start, stop) of true."""
    edges = np.flatnonzero(np.diff(fresh, prepend=False, append=False)).tolist()
    return tuple(zip(edges[::2], edges[1::2], strict=True))

"""Computes how long a range grows before its insert: longer while the store has too many parts."""

from __future__ import annotations

from dataclasses import dataclass

# The first record after a pause waits only for what was produced together with it.
TOGETHER_S = 0.05
# Each refusal for too many parts doubles the interval, each insert that is taken at once brings it a tenth back.
_SLOWER, _FASTER = 2.0, 0.9


@dataclass(slots=True)
class InsertInterval:
    """The interval between two inserts of a partition; one for all partitions, because they share the server's parts.

    Attributes:
        seconds: the interval while no insert is refused; a record waits no longer for its insert.
        most: the interval at the most.
        stretch: how many times `seconds` it is now.
    """

    seconds: float = 1.0
    most: float = 10.0
    stretch: float = 1.0

    @property
    def current(self) -> float:
        """Return the interval now, seconds."""
        return self.seconds * self.stretch

    def due(self, first: float, last: float) -> float:
        """Return the time at which a range is due: `first` is its first record's, `last` the partition's last insert's.

        A busy partition inserts once an interval. A quiet one inserts its first record at once: that makes no more
        parts, and the first step of an agent is seen at once.
        """
        return min(max(first + TOGETHER_S, last + self.current), first + self.current)

    def refused(self) -> None:
        """Note that the store has too many parts."""
        self.stretch = max(1.0, min(self.stretch * _SLOWER, self.most / self.seconds))

    def accepted(self) -> None:
        """Note that the store took an insert at the first attempt."""
        self.stretch = max(1.0, self.stretch * _FASTER)

"""How long a range grows before it is inserted: short where little comes, longer where the store has too many parts."""

from __future__ import annotations

from dataclasses import dataclass

# The first record after a pause is not kept for a whole interval; this is for what was produced together with it.
TOGETHER_S = 0.05
# Each refusal for too many parts doubles the interval, each insert that is taken at once brings it a tenth back.
_SLOWER, _FASTER = 2.0, 0.9


@dataclass(slots=True)
class InsertInterval:
    """The interval between two inserts of a partition; one value for all partitions, because parts are the server's.

    Attributes:
        seconds: the interval while all is well; a record waits no longer for its insert.
        most: the interval at the most.
        stretch: how many times `seconds` it is now.
    """

    seconds: float = 1.0
    most: float = 10.0
    stretch: float = 1.0

    @property
    def interval(self) -> float:
        """Return the interval now, seconds."""
        return self.seconds * self.stretch

    def due(self, first: float, last: float) -> float:
        """Return when a range is due whose first record came at `first`, its partition's last insert at `last`.

        A busy partition inserts once an interval. A quiet one inserts its first record at once: that makes no more
        parts, and who looks at one agent does not wait.
        """
        return min(max(first + TOGETHER_S, last + self.interval), first + self.interval)

    def refused(self) -> None:
        """Take note that the store has too many parts."""
        self.stretch = max(1.0, min(self.stretch * _SLOWER, self.most / self.seconds))

    def accepted(self) -> None:
        """Take note that the store took an insert at once."""
        self.stretch = max(1.0, self.stretch * _FASTER)

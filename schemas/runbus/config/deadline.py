"""Bounds waiting by a moment. The agent's process imports it, so it stays light."""

from __future__ import annotations

from typing import NamedTuple


class Deadline(NamedTuple):
    """A moment of a monotonic clock by which something has to be done.

    The caller reads the clock, never this class, so tests need not wait.

    Attributes:
        at: the moment, in seconds of that clock.
    """

    at: float

    @classmethod
    def after(cls, seconds: float, now: float) -> Deadline:
        """Return the deadline that is `seconds` after `now`."""
        return cls(now + seconds)

    def remaining(self, now: float) -> float:
        """Return how many seconds are left at `now`; 0 once it has passed."""
        return max(0.0, self.at - now)

    def passed(self, now: float) -> bool:
        """Return whether nothing is left at `now`."""
        return now >= self.at

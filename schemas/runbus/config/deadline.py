"""A moment by which something has to be done. Light: the agent's process imports it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment of a monotonic clock, which is the caller's: it is never read here, so tests need not wait.

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

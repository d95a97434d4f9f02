"""Computes the wait before the next attempt: a pure value, so that the protocol's waits can be simulated."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"), bounded both ways.

    The lower bound keeps a refusing server from being asked in a tight loop, the upper one keeps the recovery prompt.
    """

    first: float
    most: float

    def wait(self, attempt: int, rng: random.Random) -> float:
        """Return the seconds before attempt number `attempt` + 1; attempts count from 1."""
        ceiling = min(self.most, self.first * 2 ** min(attempt, 30))
        return rng.uniform(self.first, max(ceiling, self.first))


#: timeouts and resets: the server is probably back at once
AMBIGUOUS = Backoff(0.2, 5.0)
#: too many parts, memory, disk: give it time
CAPACITY = Backoff(0.5, 30.0)
#: a person has to mend it: ask rarely, and go on by itself once it is mended
STUCK = Backoff(1.0, 15.0)

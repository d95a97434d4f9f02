"""Keeps the time between two moments of a recording, or a part of it."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Waits until it is the turn of a moment.

    Args:
        speed: 1 = as it was, 2 = twice as fast, infinite = nothing is waited for.
        clock: returns monotonic seconds.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        speed: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._begin: tuple[float, int] | None = None

    def wait(self, at_us: int) -> None:
        """Return once the moment has come; the first one comes at once, and so does one that is late.

        Args:
            at_us: when it was, microseconds since the epoch.
        """
        if self._begin is None:
            self._begin = (self._clock(), at_us)
        began, first_us = self._begin
        left = began + (at_us - first_us) / 1e6 / self._speed - self._clock()
        if left > 0:
            self._sleep(left)

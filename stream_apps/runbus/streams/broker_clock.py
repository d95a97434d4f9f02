"""Tells the broker's time: stream time must not depend on this machine's clock being right."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(slots=True)
class BrokerClock:
    """The broker's time, as an offset to ours."""

    ahead_ms: int = 0
    known: bool = False

    def set(self, broker_ms: int) -> None:
        """Learn it from the append time of something just written."""
        if broker_ms > 0:
            self.ahead_ms = broker_ms - time.time_ns() // 1_000_000
            self.known = True

    def of(self, local_ms: int) -> int:
        """Return the broker's time at a time of ours."""
        return local_ms + self.ahead_ms

"""Tells a time that moves only by `sleep`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass(slots=True)
class ManualClock:
    """Tells a time that moves only by `sleep`."""

    seconds: float = 0.0

    def now(self) -> float:
        """Return the time."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Move the time at once; other tasks may run."""
        self.seconds += seconds
        await asyncio.sleep(0)

"""Time as a value that moves when somebody sleeps."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass(slots=True)
class ManualClock:
    """Time that moves when somebody sleeps."""

    seconds: float = 0.0

    def now(self) -> float:
        """Return the time."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Let that time pass at once; others may run."""
        self.seconds += seconds
        await asyncio.sleep(0)

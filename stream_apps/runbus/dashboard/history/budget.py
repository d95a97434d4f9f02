"""Limits how many questions are asked at once: a few of one asker, some more of all; the others wait a little."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runbus.dashboard.errors import ApiError


class Budget:
    """Hands out turns.

    Args:
        each: at once, of one asker.
        most: at once, of all.
        patience: seconds that a question waits for its turn.
    """

    def __init__(self, each: int = 4, most: int = 16, patience: float = 10.0) -> None:
        self._each = each
        self._most = most
        self._patience = patience
        self._turn = asyncio.Condition()
        self.running: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, asker: str) -> AsyncIterator[None]:
        """Wait for a turn and hold it. Raises ApiError (503) if none comes."""
        try:
            async with asyncio.timeout(self._patience), self._turn:
                await self._turn.wait_for(lambda: self._free(asker))
                self.running[asker] += 1
        except TimeoutError:
            raise ApiError(
                503,
                f"{self.running[asker]} of your questions to ClickHouse are under way, and {self._each} at once may be",
                "Wait for them, or close other tabs of the page",
            ) from None
        try:
            yield
        finally:
            # no await may stand between the end of a question and this, and it needs no lock: there is one thread
            self.running[asker] -= 1
            if not self.running[asker]:
                del self.running[asker]
            await self._wake()

    def _free(self, asker: str) -> bool:
        return self.running[asker] < self._each and self.running.total() < self._most

    async def _wake(self) -> None:
        async with self._turn:
            self._turn.notify_all()

"""Wakes the clients together: at once after a silence, and then at most so many times a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

#: Time alone changes states: who was silent for long enough, say.
_LOOK_S = 0.5


class Ticks:
    """The beat of all clients of one rate.

    Args:
        advance: closes a revision, and returns it.
        seconds: between two ticks at the least.
    """

    def __init__(self, advance: Callable[[], int], seconds: float) -> None:
        self._advance = advance
        self._seconds = seconds
        self._changed = asyncio.Event()
        self._next = asyncio.Event()
        self._revision = 0
        #: How many ticks there were.
        self.number = 0
        self.clients = 0

    def changed(self) -> None:
        """Something is new."""
        self._changed.set()

    def wake(self) -> None:
        """Let every client look now."""
        self._next.set()
        self._next = asyncio.Event()

    async def run(self) -> None:
        """Tick until cancelled. After a pause of the process there is one tick, not those that were missed."""
        while True:
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            began = time.monotonic()
            if self.clients:
                self.tick()
            await asyncio.sleep(max(0.0, began + self._seconds - time.monotonic()))

    def tick(self) -> None:
        """Close a revision and wake who waits for it."""
        revision = self._advance()
        if revision != self._revision:
            self._revision = revision
            self.number += 1
            self.wake()

    async def wait(self, seconds: float) -> None:
        """Return at the next tick, or after so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._next.wait()
        except TimeoutError:
            pass

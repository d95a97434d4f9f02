"""Runs tasks in virtual time: a wait ends at once, in the order of the times waited for."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class Stuck(Exception):
    """No task waits for a time, so nothing will ever happen again."""


class _NoSelector(selectors.SelectSelector):
    """Moves the time instead of waiting; there is nothing to select from."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        """Let `timeout` seconds pass."""
        if timeout is None:
            raise Stuck
        self.loop.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop for one simulation; no threads, no sockets. Deterministic: the same work, the same order."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = _NoSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Return virtual seconds."""
        return self.now

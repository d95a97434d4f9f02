"""Wakes one waiter: a thread that waits, or a coroutine. May be rung from a signal handler and from any thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading


class Bell:
    """A bell that stays rung until somebody has heard it.

    `threading.Event` is built on a lock that a signal handler cannot take while the code that it interrupted holds it;
    this is one lock, that only the waiter takes.
    """

    def __init__(self) -> None:
        self._silent = threading.Lock()
        self._silent.acquire()
        self._awaited: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def ring(self) -> None:
        """Wake the waiter, or whoever waits next."""
        with contextlib.suppress(RuntimeError):  # it is rung already
            self._silent.release()
        awaited = self._awaited
        if awaited is not None:
            try:
                awaited[0].call_soon_threadsafe(awaited[1].set)
            except RuntimeError:  # that loop has ended
                self._awaited = None

    def wait(self, seconds: float) -> bool:
        """Return whether it was rung, after so many seconds at the latest."""
        return self._silent.acquire(timeout=max(0.0, min(seconds, threading.TIMEOUT_MAX)))

    async def wait_async(self) -> None:
        """Return once it was rung."""
        rung = asyncio.Event()
        self._awaited = (asyncio.get_running_loop(), rung)
        try:
            if not self._silent.acquire(blocking=False):
                await rung.wait()
                self._silent.acquire(blocking=False)
        finally:
            self._awaited = None

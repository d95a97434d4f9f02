"""A server of a test, on an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

T = TypeVar("T")
_ANSWERS_S = 30.0


class Served(ABC):
    """Serves for the length of a `with`; its loop runs in a thread, so the test may block."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=type(self).__name__.lower())
        self._thread.start()
        self._call(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_ANSWERS_S)

    @abstractmethod
    async def _open(self) -> None:
        """Begin to serve."""

    @abstractmethod
    async def _close(self) -> None:
        """Serve no longer."""

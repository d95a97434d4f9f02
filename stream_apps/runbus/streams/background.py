"""Runs the tasks beside an event loop's main work; the first error that one of them raises ends that work."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class BackgroundTasks:
    """The tasks of one engine.

    Attributes:
        error: the first that a task raised, or None.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` as a task."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def raise_error(self) -> None:
        """Raise the first error of a task; return if there is none."""
        if self.error is not None:
            raise self.error

    async def cancel(self) -> None:
        """Cancel all tasks and wait for them."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        self.error = self.error or error

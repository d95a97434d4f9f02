"""Runs the tasks beside an event loop's main work; the first error that one of them raises ends that work.

A task that ends as cancelled, though nobody cancelled it, has failed too: what it was to do was not done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class BackgroundTasks:
    """Tasks whose errors the main work raises.

    Attributes:
        error: the first one, of a task or set by a callback; None = none.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self._failed = asyncio.Event()
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

    async def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the main work; if a task fails meanwhile, cancel it, wherever it waits, and raise the error."""
        main, failed = asyncio.ensure_future(work), asyncio.ensure_future(self._failed.wait())
        try:
            await asyncio.wait((main, failed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            failed.cancel()
            if not main.done():
                main.cancel()
                await asyncio.gather(main, return_exceptions=True)
        if main.cancelled():
            self.raise_error()
        main.result()

    async def cancel(self) -> None:
        """Cancel all tasks and wait for them."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self.error = self.error or error_of(task)
        if self.error is not None:
            self._failed.set()


def error_of(task: asyncio.Task[None]) -> BaseException | None:
    """Return why a task that has ended failed, or None."""
    if not task.cancelled():
        return task.exception()
    return None if task.cancelling() else RuntimeError(f"{task.get_name()} ended before its work was done: {task!r}")

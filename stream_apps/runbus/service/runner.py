"""Runs a process's event loop and turns signals into an event. The stream apps' runner is streams/shell.py.

A runner takes `work`, runs `work(stop)` on an event loop until it returns or raises, and sets `stop` at SIGTERM or
SIGINT. Further signals change nothing: the process ends in order, within its grace.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeAlias

Work: TypeAlias = Callable[[asyncio.Event], Coroutine[Any, Any, None]]
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run_in_loop(work: Work) -> None:
    """Run `work` on asyncio's own loop. Raises what it raises."""

    async def main() -> None:
        stop = asyncio.Event()
        with signals_set(stop):
            await work(stop)

    asyncio.run(main())


@contextlib.contextmanager
def signals_set(stop: asyncio.Event) -> Iterator[None]:
    """Let signals set an event, if this is the main thread; elsewhere the caller's cancellation ends the work."""
    loop = asyncio.get_running_loop()
    try:
        for number in SIGNALS:
            loop.add_signal_handler(number, stop.set)
    except (ValueError, RuntimeError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)

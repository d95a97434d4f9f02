"""Waits for what a test is about to look at."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

DEADLINE_S = 90.0


def until(what: str, condition: Callable[[], bool], seconds: float = DEADLINE_S) -> None:
    """Return once the condition holds; fail with `what` after the deadline."""
    begin = time.monotonic()
    while not condition():
        waited = time.monotonic() - begin
        if waited > seconds:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        # what takes long is asked less often: questions of many tests at once are work for the engines they share
        time.sleep(0.05 if waited < 1 else 0.2)


async def until_holds(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Return once the condition holds, while the loop turns. Raises TimeoutError after the deadline."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - any condition
            await asyncio.sleep(0.001)

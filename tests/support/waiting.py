"""Waits for what a test is about to look at."""

from __future__ import annotations

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

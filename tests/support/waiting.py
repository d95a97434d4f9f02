"""Waits for what a test is about to look at."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

DEADLINE_S = 90.0


def until(what: str, condition: Callable[[], bool], seconds: float = DEADLINE_S) -> None:
    """Return once the condition holds; fail with `what` after the deadline."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)

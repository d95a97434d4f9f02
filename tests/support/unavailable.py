"""Says that an engine cannot be had here: a skipped test, or with RUNBUS_TEST_REQUIRE=1 a failed one."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


class Unavailable(Exception):
    """The back end does not have an engine here; the text says why."""


def skip_or_fail(reason: str) -> NoReturn:
    """End the test that needs it."""
    if os.environ.get("RUNBUS_TEST_REQUIRE") == "1":
        pytest.fail(reason)
    pytest.skip(reason)

"""Logs at most every 10 s what a client library logs again and again.

A worker has a dozen connections, and each logs several times a second that the broker is away: 600 lines a second.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable

#: Seconds before the same is logged again.
EVERY_S = 10.0
_MOST = 200  # different messages that are remembered


class RepeatedLogHandler(logging.Handler):
    """Hands records on to the root logger's handlers, each message at most once in `EVERY_S`.

    Messages are the same if they are of the same logger and differ only in the values that they are formatted with. The
    next one that is logged tells how many were left out.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._logged: dict[tuple[str, str], tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record on, or count it."""
        key, now = (record.name, str(record.msg)), self._clock()
        logged_at, left_out = self._logged.get(key, (None, 0))
        if logged_at is not None and now - logged_at < EVERY_S:
            self._logged[key] = (logged_at, left_out + 1)
            return
        if len(self._logged) >= _MOST:
            self._logged.clear()
        self._logged[key] = (now, 0)
        if left_out:
            record = copy.copy(record)
            record.msg, record.args = f"{record.getMessage()} (and {left_out} more like it)", None
        logging.getLogger().handle(record)


def log_seldom(name: str) -> None:
    """Let a logger and those below it log the same message seldom."""
    logger = logging.getLogger(name)
    logger.addHandler(RepeatedLogHandler())
    logger.propagate = False

"""Logs the first complaint of each kind, with what to do, and counts the rest."""

from __future__ import annotations

import logging
import threading


class Complaints:
    """Counts complaints by kind and logs the first of each. Thread safe; never raises."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}

    def say(self, kind: str, message: str, *args: object, level: int = logging.ERROR) -> None:
        """Count one complaint; log it (%-style) if it is the first of its kind."""
        with self._lock:
            count = self._counts[kind] = self._counts.get(kind, 0) + 1
        if count == 1:
            self._log.log(level, message, *args)

    def settle(self, kind: str) -> bool:
        """Return whether `kind` was complained of; the next one is logged again."""
        with self._lock:
            return self._counts.pop(kind, 0) > 0

    def counts(self) -> dict[str, int]:
        """Return how often each kind came."""
        with self._lock:
            return dict(self._counts)

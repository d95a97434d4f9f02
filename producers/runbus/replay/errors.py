"""Defines what a replay raises. Each is one line that says what to do."""

from __future__ import annotations

from runbus.config.errors import RunBusError


class NoSuchRun(RunBusError):
    """The log, or ClickHouse, has no such run."""


class RunChanged(RunBusError):
    """What is stored of the run is not what it was when the state was taken."""

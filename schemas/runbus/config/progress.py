"""Names what long work reports to, so that a library never knows a terminal. `runbus.cli.progress` shows it."""

from __future__ import annotations

from typing import Literal, Protocol

Unit = Literal["", "bytes", "records"]


class OnProgress(Protocol):
    """Takes the progress of one piece of work. Never raises; cheap enough for each thousandth record.

    Any thread may call it, at any time; work whose `done` reaches `total` is over. Work is named by
    `what`, so two pieces at once need two names.
    """

    def __call__(self, what: str, done: int, total: int | None = None, unit: Unit = "") -> None:
        """Take that `done` of `total` units of `what` are done; None = the total is not known."""


def unseen(what: str, done: int, total: int | None = None, unit: Unit = "") -> None:
    """Show nothing: the OnProgress of callers that have no display."""

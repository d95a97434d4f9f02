"""Names what long work reports to, so that a library never knows a terminal. `runbus.cli.progress` shows it."""

from __future__ import annotations

from typing import Literal, Protocol

Unit = Literal["", "bytes", "records"]


class OnProgress(Protocol):
    """Takes how far one piece of work is. Never raises; cheap enough for each thousandth record.

    Call it as often as you like and from any thread; work whose `done` reaches `total` is over. Work is named by
    `what`, so two pieces at once need two names.
    """

    def __call__(self, what: str, done: int, total: int | None = None, unit: Unit = "") -> None:
        """Take that `done` of `total` units of `what` are done; None = nobody knows how many there are."""


def unseen(what: str, done: int, total: int | None = None, unit: Unit = "") -> None:
    """Pass over it: the OnProgress of callers that show nothing."""

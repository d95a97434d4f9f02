"""Defines the contract of the past: questions and their answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from runbus.dashboard.history.native import Table

#: What every question may cost. A page is drawn from thousands of points, not from millions.
MOST_SECONDS = 5
MOST_BYTES = 64 << 20
MOST_MEMORY = 1_500_000_000
MOST_ROWS = 500_000


@dataclass(frozen=True, slots=True)
class Question:
    """One statement.

    Attributes:
        name: of its file in queries/.
        sql: its text, with `{name:Type}` places.
        parameters: what these places get.
    """

    name: str
    sql: str
    parameters: Mapping[str, object] = field(default_factory=dict)


class History(Protocol):
    """The past, as ClickHouse has it.

    Both calls raise ApiError: 400 (a value that does not fit), 413 (it costs too much), 504 (it took too long), 503
    (nobody answers now; the next call tries again). A call that is cancelled cancels its query in ClickHouse.
    """

    async def table(self, question: Question, asker: str) -> Table:
        """Return the answer as columns.

        Args:
            question: what to ask.
            asker: for whom: of one, only a few questions are asked at once, the others wait a little.
        """
        ...

    async def formatted(self, question: Question, format_: str, asker: str) -> bytes:
        """Return the answer in a format of ClickHouse."""
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...

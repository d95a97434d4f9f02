"""Joins what the user of a reader asks for, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from runbus.kafka.settings import Membership
from runbus.reader.selection import Selection
from runbus.reader.settings import ReaderSettings
from runbus.reader.start import Start

Otherwise: TypeAlias = Literal["beginning", "latest"]
OnUnreadable: TypeAlias = Literal["event", "raise", "skip"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is read, and from where.

    Attributes:
        name: of the cursor; None = no group, and nothing is kept.
        instance: of a static member; "" = none.
        selection: which records.
        start: where each partition begins that this reader has for the first time.
        otherwise: where one begins that has no cursor yet.
    """

    settings: ReaderSettings
    name: str | None
    instance: str
    selection: Selection
    start: Start
    otherwise: Otherwise

    @property
    def membership(self) -> Membership:
        """The membership in the group; without a name, one that is never joined."""
        return self.settings.membership(self.name, self.instance)

    def __str__(self) -> str:
        return "a reader without a name" if self.name is None else f"reader {self.name}"

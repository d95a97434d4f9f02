"""Says that a value does not exist, which is something else than None: the others of its column do."""

from __future__ import annotations

from enum import Enum


class Absent(Enum):
    """The type of ABSENT: one object, also in copies and in other processes."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


#: In place of an observation that an environment threw away, or of an action that nobody took: the row says so in
#: every table, and has neither zeros nor another row's value there.
ABSENT = Absent.ABSENT

"""Reads the numbers that a loop logs.

A number belongs to the next row of its stream, be it a step or a reset: it was logged between that row and the one
before. Numbers behind the last row go into the FINISHED event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runbus.recorder.reading import text_of_object
from runbus.recorder.values import number
from runbus.schemas.strict_json import utf8_text
from runbus.schemas.walk import MAX_RECORDS

#: Numbers that may wait for a row. Those of one batch have at most twice as many names, which is what one can hold.
MAX_WAITING = MAX_RECORDS // 2

Numbers = list[tuple[str, float]]


def named_numbers(values: object) -> tuple[Numbers, list[str]]:
    """Return the numbers of a mapping and their names, as UTF-8 can say them, and why others are left out."""
    found: Numbers = []
    flaws: list[str] = []
    if not isinstance(values, Mapping):
        return found, [f"a {type(values).__name__} has no names: pass names and numbers"]
    for name, value in values.items():
        try:
            found.append((utf8_text(str(name)), number(value)))
        except Exception as error:  # noqa: BLE001 - whatever the user logs
            flaws.append(f"{text_of_object(name)!r} is no number: {error}")
    return found, flaws


def by_name(numbers: Iterable[tuple[str, float]]) -> dict[str, list[float]]:
    """Return the numbers of each name, in their order."""
    found: dict[str, list[float]] = {}
    for name, value in numbers:
        found.setdefault(name, []).append(value)
    return found

"""Takes the numbers that a loop logs, and makes the extras of a batch of them.

A number belongs to the next row of its stream, be it a step or a reset: it was logged between that row and the one
before. Numbers behind the last row go into the FINISHED event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.recorder.row_words import LeaveOut, plain_text, shown
from runbus.recorder.values import number
from runbus.schemas.batch import Extra
from runbus.schemas.walk import MAX_RECORDS

#: Numbers that may wait for a row. Those of one batch have at most twice as many names, which is what one can hold.
MAX_WAITING = MAX_RECORDS // 2

Numbers = list[tuple[str, float]]


def numbers_of(values: Mapping[Any, Any], room: int, leave_out: LeaveOut) -> Numbers:
    """Return named numbers in their order, at most `room`; each that is none is left out by itself.

    Raises whatever `values` raises if it is no mapping.
    """
    found: Numbers = []
    for name, value in values.items():
        if len(found) >= room:
            leave_out("log", f"{MAX_WAITING} numbers wait for a step already: call step() or reset() between them")
            continue
        try:
            found.append((plain_text(name, "log", leave_out), number(value)))
        except Exception as error:  # noqa: BLE001 - whatever the caller calls a number
            leave_out("log", f"{shown(name)}: {error}. Pass names and numbers")
    return found


def by_name(numbers: Iterable[tuple[str, float]]) -> dict[str, list[float]]:
    """Return the numbers of each name, in their order."""
    found: dict[str, list[float]] = {}
    for name, value in numbers:
        found.setdefault(name, []).append(value)
    return found


def extras_of(
    single: Mapping[str, Mapping[int, float]],
    logged: Iterable[tuple[int, str, float]],
    columns: Mapping[str, Sequence[tuple[int, NDArray[np.float64]]]],
) -> tuple[Extra, ...]:
    """Return the extras of a batch; those of one row and name in the order in which they are given here.

    Args:
        single: numbers of rows, one a row: by name and index of the row.
        logged: index of the row, name and number.
        columns: of vector calls, by name: index of a first row, and the numbers of it and of the rows behind it.
    """
    found = {name: list(values.items()) for name, values in single.items()}
    for row, name, value in logged:
        found.setdefault(name, []).append((row, value))
    return tuple(_extra(name, found.get(name, ()), columns.get(name, ())) for name in {**found, **columns})


def _extra(name: str, values: Sequence[tuple[int, float]], columns: Sequence[tuple[int, NDArray[np.float64]]]) -> Extra:
    rows = [np.fromiter((row for row, _ in values), np.uint32, len(values))]
    rows += [np.arange(first, first + len(column), dtype=np.uint32) for first, column in columns]
    numbers = [np.fromiter((value for _, value in values), np.float64, len(values)), *(column for _, column in columns)]
    order = np.argsort(every := np.concatenate(rows), kind="stable")
    return Extra(name, every[order], np.concatenate(numbers)[order])

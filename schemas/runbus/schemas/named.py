"""Holds what only some steps of a batch have, by name: numbers that were logged, and labels of episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from runbus.config.errors import InvalidValue
from runbus.schemas.walk import MAX_RECORDS

ROWS = np.dtype("<u4")
VALUES = np.dtype("<f8")


@dataclass(frozen=True, slots=True)
class Extra:
    """One named number of some steps, or several numbers of one step in the order in which they were logged.

    Attributes:
        rows: uint32, ascending indices in the batch; a row as often as it has values.
        values: float64, as many as rows.
    """

    name: str
    rows: NDArray[np.uint32]
    values: NDArray[np.float64]

    def slice(self, start: int, stop: int) -> Extra:
        """Return the numbers of the steps [start, stop)."""
        inside = (self.rows >= start) & (self.rows < stop)
        return Extra(self.name, _moved(self.rows[inside], start), self.values[inside])

    def check(self, count: int) -> None:
        """Raise InvalidValue unless rows and values are of a batch of `count` steps."""
        if self.rows.dtype != ROWS or self.values.dtype != VALUES:
            raise InvalidValue(f"extra {self.name!r}: rows must be {ROWS.str} and values {VALUES.str}")
        if self.rows.shape != self.values.shape or self.rows.ndim != 1:
            raise InvalidValue(f"extra {self.name!r}: {self.rows.size} rows and {self.values.size} values")
        if self.rows.size and (int(self.rows[-1]) >= count or bool((self.rows[1:] < self.rows[:-1]).any())):
            raise InvalidValue(f"extra {self.name!r}: rows must ascend and be below {count}")

    def record(self) -> dict[str, object]:
        """Return it as Avro has it."""
        return {"name": self.name, "rows": self.rows.tobytes(), "values": self.values.tobytes()}


@dataclass(frozen=True, slots=True)
class Label:
    """One named text of some steps, each at most once.

    Attributes:
        rows: uint32, ascending indices in the batch.
        values: as many texts as rows.
    """

    name: str
    rows: NDArray[np.uint32]
    values: tuple[str, ...]

    def slice(self, start: int, stop: int) -> Label:
        """Return the texts of the steps [start, stop)."""
        first, end = self.rows.searchsorted([start, stop]).tolist()
        return Label(self.name, _moved(self.rows[first:end], start), self.values[first:end])

    def check(self, count: int) -> None:
        """Raise InvalidValue unless rows and values are of a batch of `count` steps."""
        rows = self.rows
        if rows.dtype != ROWS or rows.ndim != 1 or len(rows) != len(self.values):
            raise InvalidValue(f"label {self.name!r}: {rows.size} rows of {rows.dtype} and {len(self.values)} values")
        if len(rows) and (int(rows[-1]) >= count or bool((rows[1:] <= rows[:-1]).any())):
            raise InvalidValue(f"label {self.name!r}: rows must ascend, each once, and be below {count}")

    def record(self) -> dict[str, object]:
        """Return it as Avro has it."""
        return {"name": self.name, "rows": self.rows.tobytes(), "values": list(self.values)}


Named = TypeVar("Named", Extra, Label)


def _moved(rows: NDArray[np.uint32], start: int) -> NDArray[np.uint32]:
    return (rows - np.uint32(start)).astype(ROWS)


def sliced(named: Sequence[Named], start: int, stop: int) -> tuple[Named, ...]:
    """Return those that one of the steps [start, stop) has, cut to these steps."""
    return tuple(one for one in (one.slice(start, stop) for one in named) if one.rows.size)


def check_named(kind: str, named: Sequence[Extra] | Sequence[Label], count: int) -> None:
    """Raise InvalidValue unless each is of a batch of `count` steps, and no name is there twice."""
    if len(named) > MAX_RECORDS:
        raise InvalidValue(f"{len(named)} {kind}s: at most {MAX_RECORDS}")
    names: set[str] = set()
    for one in named:
        if one.name in names:
            raise InvalidValue(f"two {kind}s have the same name: {one.name!r}")
        names.add(one.name)
        one.check(count)


def extra_of(record: Mapping[str, Any]) -> Extra:
    """Return an extra as Avro has it. Raises InvalidValue if a column holds half a value."""
    rows, values = record["rows"], record["values"]
    if len(rows) % ROWS.itemsize or len(values) % VALUES.itemsize:
        raise InvalidValue(f"extra {record['name']!r}: a column is cut short")
    return Extra(record["name"], np.frombuffer(rows, ROWS), np.frombuffer(values, VALUES))


def label_of(record: Mapping[str, Any]) -> Label:
    """Return a label as Avro has it. Raises InvalidValue if its rows hold half a value."""
    if len(record["rows"]) % ROWS.itemsize:
        raise InvalidValue(f"label {record['name']!r}: a column is cut short")
    return Label(record["name"], np.frombuffer(record["rows"], ROWS), tuple(record["values"]))

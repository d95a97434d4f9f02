"""Cuts a long answer into pages: a page ends with a cursor, which says behind which row the next one begins."""

from __future__ import annotations

import json
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runbus.dashboard.errors import ApiError
from runbus.dashboard.history.native import Table
from runbus.dashboard.history.values import Column, Lists, Made, Maps, Maybe, Numbers, Texts, Tuples


@dataclass(frozen=True, slots=True)
class Order:
    """What the rows of a list are sorted by.

    Attributes:
        columns: name -> type in ClickHouse; together they name one row.
    """

    columns: Mapping[str, str]

    def after(self, cursor: str, *, descending: bool) -> tuple[str, dict[str, object]]:
        """Return the condition for the rows behind a cursor ("" = all), and its parameters.

        Raises:
            ApiError: 400, it is no cursor of this list.
        """
        if not cursor:
            return "true", {}
        places = ", ".join(f"{{after_{name}:{kind}}}" for name, kind in self.columns.items())
        values = self._values(cursor)
        sign = "<" if descending else ">"
        seen = {f"after_{name}": value for name, value in zip(self.columns, values, strict=True)}
        return f"({', '.join(self.columns)}) {sign} ({places})", seen

    def cursor(self, page: Table) -> str:
        """Return the cursor behind the last row of a page."""
        last = [page.columns[name].plain()[-1] for name in self.columns]
        return urlsafe_b64encode(json.dumps(last).encode()).decode().rstrip("=")

    def _values(self, cursor: str) -> list[Any]:
        try:
            values = json.loads(urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)))
            if not isinstance(values, list) or len(values) != len(self.columns):
                raise ValueError(cursor)
            return [_FITS[kind](value) for kind, value in zip(self.columns.values(), values, strict=True)]
        except (ValueError, RecursionError):
            raise ApiError(400, "after is no cursor of this list", "Leave it out for the first page") from None


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(value)


def _integer(bits: int) -> Callable[[object], int]:
    def fits(value: object) -> int:
        if type(value) is not int or not -(1 << bits - 1) <= value < 1 << bits - 1:
            raise ValueError(value)
        return value

    return fits


def _float(value: object) -> float:
    if type(value) is float or _integer(64)(value) == value:
        return float(value)
    raise ValueError(value)


_FITS: Mapping[str, Callable[[object], object]] = {
    "String": _text,
    "Int32": _integer(32),
    "Int64": _integer(64),
    "Float64": _float,
}


def first(table: Table, count: int) -> Table:
    """Return the first rows of a table."""
    if table.rows <= count:
        return table
    return Table({name: _cut(column, count) for name, column in table.columns.items()}, count)


def without(table: Table, *names: str) -> Table:
    """Return a table without some of its columns."""
    return Table({name: column for name, column in table.columns.items() if name not in names}, table.rows)


def row(table: Table, number: int = 0) -> dict[str, Any]:
    """Return one row of a table, {} if it has none; NaN is None."""
    if not table.rows:
        return {}
    found = {name: column.plain()[number] for name, column in table.columns.items()}
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in found.items()}


def _cut(column: Column, count: int) -> Column:
    if isinstance(column, Numbers):
        return Numbers(column.array[:count])
    if isinstance(column, Texts):
        return Texts(column.offsets[: count + 1], column.data[: int(column.offsets[count])])
    if isinstance(column, Lists):
        return Lists(column.offsets[: count + 1], _cut(column.values, int(column.offsets[count])))
    if isinstance(column, Maps):
        end = int(column.offsets[count])
        return Maps(column.offsets[: count + 1], _cut(column.keys, end), _cut(column.values, end))
    if isinstance(column, Tuples):
        return Tuples(tuple(_cut(part, count) for part in column.parts), count)
    if isinstance(column, Maybe):
        return Maybe(column.missing[:count], _cut(column.values, count))
    return Made(count, lambda: column.make()[:count])

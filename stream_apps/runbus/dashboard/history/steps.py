"""Turns rows of steps into what the page shows: values decoded for JSON, or their bytes beside a list of layouts."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from runbus.dashboard.history.native import Table
from runbus.dashboard.history.recorded import shown
from runbus.dashboard.history.values import Column, Made, Numbers, Texts

VALUES = ("action", "observation")


def decoded(table: Table) -> Table:
    """Return the rows with each action and observation as JSON says it (recorded.py)."""
    columns: dict[str, Column] = dict(table.columns)
    for name in VALUES:
        dtypes, shapes, raws = (columns.pop(part) for part in (f"{name}_dtype", f"{name}_shape", name))
        columns[name] = Made(table.rows, partial(_shown, dtypes, shapes, raws))
    return Table(columns, table.rows)


def _shown(dtypes: Column, shapes: Column, raws: Column) -> list[Any]:
    values = raws.raw() if isinstance(raws, Texts) else []
    return [shown(*value) for value in zip(dtypes.plain(), shapes.plain(), values, strict=True)]


def numbered(table: Table) -> tuple[Table, dict[str, list[dict[str, Any]]]]:
    """Return the rows with bytes, and in `<name>_layout` places in the lists of layouts that come with them."""
    columns: dict[str, Column] = dict(table.columns)
    layouts: dict[str, list[dict[str, Any]]] = {}
    for name in VALUES:
        dtypes, shapes, raws = _layout_columns(columns, name)
        places: dict[tuple[str, tuple[int, ...]], int] = {}
        keys = [(dtype, tuple(shape)) for dtype, shape in zip(dtypes, shapes, strict=True)]
        numbers = [places.setdefault(key, len(places)) for key in keys]
        columns[f"{name}_layout"] = Numbers(np.array(numbers, "<i4"))
        columns[name] = Texts.of(raws)
        layouts[name] = [{"dtype": dtype, "shape": list(shape)} for dtype, shape in places]
    return Table(columns, table.rows), layouts


def _layout_columns(columns: dict[str, Column], name: str) -> tuple[list[str], list[list[int]], list[bytes]]:
    """Take the three columns of a value out of a table."""
    dtypes, shapes, raws = columns.pop(f"{name}_dtype"), columns.pop(f"{name}_shape"), columns.pop(name)
    return dtypes.plain(), shapes.plain(), raws.raw() if isinstance(raws, Texts) else []

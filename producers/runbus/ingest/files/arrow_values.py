"""Turns Arrow arrays into recorded values again, bit for bit, by the layout that the file's description names.

The other direction, and the table of types, is `runbus.export.arrow`.
"""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from runbus.recorder.absent import ABSENT
from runbus.schemas.layout import STRUCT, Layout
from runbus.schemas.leaf import JSON, NUMERIC_DTYPES, TEXT, is_ragged
from runbus.schemas.tree import Node, parse


def values_of(layout: Layout, column: pa.Array) -> list[Any]:
    """Return a value a row; ABSENT where the column is null. What was not recorded of a value is not in it."""
    struct = layout.dtype.startswith(STRUCT)
    node = parse(layout.dtype[len(STRUCT) :]) if struct else Node(0, layout.dtype, layout.shape)
    values = _values(node, column)
    return [value if there else ABSENT for value, there in zip(values, column.is_valid().to_pylist(), strict=True)]


def _values(node: Node, column: pa.Array) -> list[Any]:
    """Return a value a row, any value where the column is null."""
    if node.parts is not None:
        return _structs(node, column)
    if node.dtype == TEXT:
        return column.to_pylist()  # type: ignore[no-any-return]
    if node.dtype == JSON:
        return [None if text is None else json.loads(text) for text in column.to_pylist()]
    if is_ragged(node.shape):
        return _ragged(node, column)
    return list(_dense(node, column))


def _structs(node: Node, column: pa.StructArray) -> list[Any]:
    children = dict(zip((field.name for field in column.type), column.flatten(), strict=True))
    names = node.keys or tuple(map(str, range(len(node.parts or ()))))
    parts = [
        (name, _values(part, children[name]) if name in children else [None] * len(column))
        for name, part in zip(names, node.parts or (), strict=True)
    ]
    if node.keys is None:
        return [tuple(values[row] for _, values in parts) for row in range(len(column))]
    kept = [(name, values) for name, values in parts if name in children]
    return [{name: values[row] for name, values in kept} for row in range(len(column))]


def _dense(node: Node, column: pa.Array) -> NDArray[Any]:
    """Return numbers of one shape; whatever is in the file where the column is null."""
    dtype = np.dtype(node.dtype)
    size = math.prod(node.shape)
    if not node.shape:
        return _numbers(column, dtype)
    if not size:
        return np.zeros((len(column), *node.shape), dtype)
    items = column.values.slice(column.offset * size, len(column) * size)
    return _numbers(items, dtype).reshape(len(column), *node.shape)


def _ragged(node: Node, column: pa.ListArray) -> list[Any]:
    ends = column.offsets.to_numpy()
    items = column.values
    inner = Node(0, node.dtype, node.shape[1:])
    numbers = _dense(inner, items)
    return [numbers[begin:end] for begin, end in pairwise(ends)]


def _numbers(column: pa.Array, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a primitive array's numbers as they lie in memory: nothing is cast, a NaN keeps its bits."""
    if dtype == np.bool_:
        return column.fill_null(value=False).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
    assert dtype.name in NUMERIC_DTYPES or dtype.str in NUMERIC_DTYPES
    raw = column.buffers()[1]
    if raw is None or not len(column):
        return np.zeros(0, dtype)
    return np.frombuffer(raw, dtype)[column.offset : column.offset + len(column)]

"""Turns columns of recorded values into Arrow arrays, exactly: a type for each layout.

| layout | type |
|---|---|
| a number | its own |
| an array of fixed shape | fixed-size list of its numbers, C order |
| a ragged array | list of its items |
| `text`, `json` | string |
| `struct` | struct; the parts of a tuple are called `0`, `1`, ... |
| none, omitted | no column, no field |

An array without any number in it is a list of changing length: Parquet cannot write fixed-size lists of nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from runbus.reader.values import Column
from runbus.schemas.layout import STRUCT, Layout, encode_value
from runbus.schemas.leaf import JSON, NUMERIC_DTYPES, OMITTED, TEXT, is_ragged
from runbus.schemas.strict_json import strict_json
from runbus.schemas.tree import Node, leaves, parse

Mask = NDArray[np.bool_]


def node_of(layout: Layout) -> Node:
    """Return a layout as a node, whether it has parts or not."""
    return (
        parse(layout.dtype[len(STRUCT) :]) if layout.dtype.startswith(STRUCT) else Node(0, layout.dtype, layout.shape)
    )


def has_omitted(layout: Layout) -> bool:
    """Return whether a value, or a part of it, was not recorded."""
    return any(leaf.dtype.startswith(OMITTED) for leaf in leaves(node_of(layout)))


def named_parts(node: Node) -> list[tuple[str, Node]]:
    """Return the parts of a dict or tuple with their names."""
    parts = node.parts or ()
    return list(zip(node.keys or map(str, range(len(parts))), parts, strict=True))


def arrow_type(node: Node) -> pa.DataType | None:
    """Return the type of a column, or None if nothing is recorded."""
    if node.parts is not None:
        fields = [(name, arrow_type(part)) for name, part in named_parts(node)]
        recorded = [pa.field(name, kind) for name, kind in fields if kind is not None]
        return pa.struct(recorded) if recorded else None
    if node.dtype in (TEXT, JSON):
        return pa.string()
    if node.dtype not in NUMERIC_DTYPES:
        return None
    number = pa.from_numpy_dtype(np.dtype(node.dtype))
    if is_ragged(node.shape):
        return pa.list_(_listed(number, node.shape[1:]))
    return _listed(number, node.shape)


def _listed(number: pa.DataType, shape: tuple[int, ...]) -> pa.DataType:
    if not shape:
        return number
    size = math.prod(shape)
    return pa.list_(number, size) if size else pa.list_(number)


def arrow_array(node: Node, column: Column, present: Mask) -> pa.Array:
    """Return a column of a recorded layout; where `present` is false it is null."""
    if node.parts is not None:
        fields = [(name, part, kind) for name, part in named_parts(node) if (kind := arrow_type(part)) is not None]
        arrays = [arrow_array(part, _part(column, node, name), present) for name, part, _ in fields]
        return pa.StructArray.from_arrays(
            arrays, fields=[pa.field(name, kind) for name, _, kind in fields], mask=pa.array(~present)
        )
    if node.dtype in (TEXT, JSON):
        texts = [_text(node.dtype, value) if there else None for value, there in zip(column, present, strict=True)]
        return pa.array(texts, pa.string())
    if is_ragged(node.shape):
        return _ragged(node, column, present)
    numbers = _dense(node, column, present)
    kind = arrow_type(node)
    if not node.shape:
        return pa.array(numbers, kind, mask=~present)
    if not math.prod(node.shape):
        return pa.array([[] if there else None for there in present], kind)
    return pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), type=kind, mask=pa.array(~present))


def _part(column: Column, node: Node, name: str) -> Column:
    """Return the column of a part: of columns, or of one value a row, which is None where there is none."""
    key: Any = name if node.keys is not None else int(name)
    if isinstance(column, (Mapping, tuple)):
        return column[key]
    return [None if value is None else value[key] for value in column]


def _text(dtype: str, value: object) -> str:
    return strict_json(value, str) if dtype == JSON else str(value)


def _dense(node: Node, column: Column, present: Mask) -> NDArray[Any]:
    """Return numbers of fixed shape as one array, contiguous; zeros where there is no value."""
    if isinstance(column, np.ndarray):
        return np.ascontiguousarray(column)
    numbers = np.zeros((len(present), *node.shape), node.dtype)
    for row in np.flatnonzero(present):
        numbers[row] = column[row]
    return numbers


def _ragged(node: Node, column: Sequence[Any], present: Mask) -> pa.Array:
    empty = np.zeros((0, *node.shape[1:]), node.dtype)
    arrays = [array if there else empty for array, there in zip(column, present, strict=True)]
    offsets = np.concatenate(([0], np.cumsum([len(array) for array in arrays], dtype=np.int64)))
    items = pa.array(np.concatenate([empty, *arrays]).reshape(-1))
    kind = pa.list_(_listed(items.type, node.shape[1:]))
    if node.shape[1:]:
        items = pa.FixedSizeListArray.from_arrays(items, type=kind.value_type)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items, type=kind, mask=pa.array(~present))


def raw_array(layout: Layout, column: Column, present: Mask) -> pa.Array:
    """Return the bytes of each value, little-endian, C order, as ClickHouse has them; null where `present` is false."""
    node = node_of(layout)
    values = (encode_value(layout, _row(node, column, row)) if present[row] else None for row in range(len(present)))
    return pa.array(list(values), pa.binary())


def shape_array(layout: Layout, column: Column, present: Mask) -> pa.Array:
    """Return the shape of each value; null where `present` is false."""
    ragged = is_ragged(layout.shape)
    shapes = [
        None if not there else [len(column[row]), *layout.shape[1:]] if ragged else list(layout.shape)
        for row, there in enumerate(present)
    ]
    return pa.array(shapes, pa.list_(pa.int32()))


def _row(node: Node, column: Column, row: int) -> Any:  # noqa: ANN401 - any value a layout can describe
    """Return one value; a part that is not recorded is None."""
    if isinstance(column, Mapping):
        return {name: _row(part, column[name], row) for name, part in named_parts(node)}
    if isinstance(column, tuple):
        return tuple(_row(part, column[index], row) for index, part in enumerate(node.parts or ()))
    return None if column is None else column[row]

"""Gives one column of values (actions, observations) as arrays, without copying: views of the batch's bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from runbus.schemas.layout import NUMERIC_DTYPES, STRUCT, VARIABLE, Layout, decode_value
from runbus.schemas.leaf import is_ragged
from runbus.schemas.tree import Node, parse

_LENGTH = np.dtype("<u4")
#: An array (count, *shape); a dict or tuple of arrays; a sequence with one value a step; None: nothing is recorded.
Column: TypeAlias = Any


class Values(Sequence[Any]):
    """One value a step, of changing length: text, JSON data, ragged arrays, or dicts and tuples that have such parts.

    A value is decoded when it is asked for. Arrays are read-only views of the batch.
    """

    def __init__(self, layout: Layout, column: bytes, count: int) -> None:
        self._layout = layout
        self._column = memoryview(column)
        self._ends = 4 * count + np.frombuffer(column, _LENGTH, count).cumsum(dtype=np.int64)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many bytes each value has; of ragged arrays, how many items."""
        sizes = np.diff(self._ends, prepend=4 * len(self))
        return sizes // (self._layout.item_bytes or 1)

    @property
    def items(self) -> NDArray[Any] | None:
        """All items of all ragged arrays, one behind another, (sum of `lengths`, *shape); None for other values."""
        if not self._layout.item_bytes:
            return None
        flat = np.frombuffer(self._column[4 * len(self) :], self._layout.dtype)
        return flat.reshape(-1, *self._layout.shape[1:])

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Any: ...  # noqa: ANN401 - any value a layout can describe
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        start = int(self._ends[at - 1]) if at else 4 * len(self)
        raw = self._column[start : int(self._ends[at])]
        if self._layout.item_bytes:
            return np.frombuffer(raw, self._layout.dtype).reshape(-1, *self._layout.shape[1:])
        return decode_value(self._layout, bytes(raw))

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))


def column_of(layout: Layout, column: bytes, count: int) -> Column:
    """Return the values of a checked batch; see Column. Arrays are read-only views of `column`."""
    if not layout.recorded:
        return None
    if layout.width == VARIABLE:
        return Values(layout, column, count)
    if layout.dtype.startswith(STRUCT):
        return _parts(parse(layout.dtype[len(STRUCT) :]), _Rows(column, count, layout.width), 0)[0]
    return np.frombuffer(column, layout.dtype).reshape(count, *layout.shape)


class _Rows:
    """The rows of a column of fixed width."""

    __slots__ = ("column", "count", "width")

    def __init__(self, column: bytes, count: int, width: int) -> None:
        self.column, self.count, self.width = column, count, width


def _parts(node: Node, rows: _Rows, at: int) -> tuple[Column, int]:
    """Return what is at byte `at` of each row, and where the next part begins."""
    if node.parts is None:
        return _leaf(node, rows, at), at + node.width
    values = []
    for part in node.parts:
        value, at = _parts(part, rows, at)
        values.append(value)
    return (tuple(values) if node.keys is None else dict(zip(node.keys, values, strict=True))), at


def _leaf(node: Node, rows: _Rows, at: int) -> Column:
    if node.dtype not in NUMERIC_DTYPES:  # no value, or one that is not recorded
        return None
    inner = _inner_strides(node.dtype, node.shape)
    shape, strides = (rows.count, *node.shape), (rows.width, *inner)
    array: NDArray[Any] = np.ndarray(shape, node.dtype, rows.column, at if node.width else 0, strides)
    return array


@lru_cache(maxsize=256)
def _inner_strides(dtype: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    return np.empty(shape, dtype).strides if not is_ragged(shape) else ()

"""Columns of values as arrays: equal to what was packed, and views of its bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runbus.reader.values import Values, column_of
from runbus.schemas.layout import NONE, Layout, Omitted, encode_value, layout_of, pack


def packed(layout: Layout, values: list[Any]) -> bytes:
    """Return a column."""
    return pack(layout, [encode_value(layout, value) for value in values])


@pytest.mark.parametrize(
    "values",
    [
        [np.float32(0.5), np.float32(1.5)],
        [np.array([[1, 2], [3, 4]], np.int16), np.array([[5, 6], [7, 8]], np.int16)],
        [np.zeros((0, 3)), np.zeros((0, 3))],
        [np.bool_(True), np.bool_(False)],
    ],
)
def test_numbers_are_one_array_of_their_dtype(values: list[Any]) -> None:
    """Its first axis is the step; it cannot be written to, and shares its memory with the column."""
    layout = layout_of(values[0])
    column = packed(layout, values)
    array = column_of(layout, column, 2)
    assert array.dtype == values[0].dtype
    assert np.array_equal(array, np.stack(values))
    assert not array.flags.writeable
    assert np.shares_memory(array, np.frombuffer(column, np.uint8)) == bool(array.size)


def test_parts_of_fixed_width_are_arrays_too() -> None:
    """A dict or tuple of arrays, nested as the values are; a part that is not recorded is None."""
    values = [
        {"at": (np.full(2, n, np.float32), np.int8(n)), "on": np.bool_(n % 2), "image": Omitted("|u1", (9, 9))}
        for n in range(3)
    ]
    layout = layout_of(values[0])
    column = packed(layout, values)
    found = column_of(layout, column, 3)
    assert found["at"][0].tolist() == [[0, 0], [1, 1], [2, 2]]
    assert (found["at"][0].dtype, found["at"][1].dtype) == (np.float32, np.int8)
    assert found["at"][1].tolist() == [0, 1, 2]
    assert found["on"].tolist() == [False, True, False]
    assert found["image"] is None
    assert np.shares_memory(found["at"][0], np.frombuffer(column, np.uint8))
    assert not found["at"][0].flags.writeable


def test_ragged_arrays_are_views_one_a_step() -> None:
    """Each has its length, none is copied, and all items together are one array."""
    layout = Layout("<i4", (-1, 2), -1)
    arrays = [np.arange(2 * n, dtype="<i4").reshape(n, 2) for n in (2, 0, 3)]
    column = pack(layout, [array.tobytes() for array in arrays])
    found = column_of(layout, column, 3)
    assert isinstance(found, Values)
    assert all(np.array_equal(a, b) and a.shape == b.shape for a, b in zip(found, arrays, strict=True))
    assert found.lengths.tolist() == [2, 0, 3]
    assert found.items is not None
    assert found.items.shape == (5, 2)
    assert np.shares_memory(found[2], np.frombuffer(column, np.uint8))
    assert np.shares_memory(found.items, np.frombuffer(column, np.uint8))


@pytest.mark.parametrize(
    "values",
    [["go", "", "größer"], [{"tool": "x"}, [1, 2], 3], [{"said": "x", "n": np.int8(n)} for n in range(3)]],
)
def test_other_values_are_decoded_when_they_are_asked_for(values: list[Any]) -> None:
    """Text, JSON data and parts of changing length: one value a step, by index, slice or iteration."""
    layout = layout_of(values[-1]) if not isinstance(values[0], dict) or "tool" not in values[0] else layout_of({})
    layout = Layout("json", (), -1) if any(isinstance(v, list) for v in values) else layout
    found = column_of(layout, packed(layout, values), 3)
    assert list(found) == values
    assert (found[-1], found[1:]) == (values[-1], values[1:])
    assert (len(found), found.items) == (3, None)
    with pytest.raises(IndexError):
        found[3]


def test_no_value_is_none() -> None:
    """Neither what the stream does not have nor what is not recorded is an array."""
    assert column_of(NONE, b"", 2) is None
    assert column_of(layout_of(np.zeros(3)).omitted(), b"", 2) is None

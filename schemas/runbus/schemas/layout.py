"""Encodes one action or observation as bytes, exactly, and decodes it.

A value's **layout** is a dtype (numpy's array-interface string, or a word), a shape and a width in bytes:

| dtype | value | width |
|---|---|---|
| `<f4`, `|u1`, `|b1`, ... | numeric array or scalar, little-endian, C order | itemsize x size |
| the same, the first length of its shape -1 | ragged: any number of items of the rest of the shape | -1: variable |
| `text` | string, UTF-8 | -1 |
| `json` | JSON text | -1 |
| `struct:[...]` | Dict or Tuple space: its parts, in order (tree.py) | sum of the parts, -1 with a variable part |
| `omitted:<f4` | it exists, recording it is off; the shape is kept | 0 |
| empty | the stream has none | 0 |

In a row of a table `absent:` and a dtype says that this row has no value where others have one; a batch says so in its
column `absent`, and a ragged value is an array like any other there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.config.errors import InvalidValue
from runbus.schemas import tree
from runbus.schemas.leaf import (
    JSON,
    MAX_LENGTH,
    NUMERIC_DTYPES,
    OMITTED,
    TEXT,
    VARIABLE,
    Omitted,
    Shape,
    decode_leaf,
    dtype_name,
    encode_leaf,
    is_ragged,
    item_bytes,
    leaf_of,
    leaf_width,
    part_width,
)

__all__ = [
    "ABSENT",
    "JSON",
    "NONE",
    "NUMERIC_DTYPES",
    "OMITTED",
    "STRUCT",
    "TEXT",
    "VARIABLE",
    "Layout",
    "Omitted",
    "check_layout",
    "check_variable",
    "decode_value",
    "encode_value",
    "layout_named",
    "layout_of",
    "pack",
    "unpack",
]

STRUCT = "struct:"
ABSENT = "absent:"
_LENGTH = np.dtype("<u4")
_NATIVE = {name: np.dtype(name) for name in NUMERIC_DTYPES}


@dataclass(frozen=True, slots=True)
class Layout:
    """The meaning of a value's bytes; see the module's table. Equal layouts can share a batch."""

    dtype: str = ""
    shape: Shape = ()
    width: int = 0

    def omitted(self) -> Layout:
        """Return the layout of such a value that is not recorded. No value stays no value."""
        return Layout(OMITTED + self.dtype, self.shape, 0) if self.recorded else self

    @property
    def recorded(self) -> bool:
        """True if values of this layout are in the column."""
        return bool(self.dtype) and not self.dtype.startswith((OMITTED, ABSENT))

    @property
    def item_bytes(self) -> int:
        """Bytes of one item if values are ragged arrays, else 0."""
        return item_bytes(self.dtype, self.shape) if self.width == VARIABLE and is_ragged(self.shape) else 0


NONE = Layout()


def layout_named(dtype: str, shape: Shape) -> Layout:
    """Return the layout of a dtype and a shape, as text and numbers say them. Raises InvalidValue."""
    return Layout(dtype, shape, _expected_width(dtype, shape))


def check_layout(layout: Layout) -> None:
    """Raise InvalidValue unless dtype, shape and width agree."""
    expected = _expected_width(layout.dtype, layout.shape)
    if layout.width != expected or expected > MAX_LENGTH:
        raise InvalidValue(
            f"width {layout.width} of {layout.dtype[:100] or 'no value'}{list(layout.shape)}: must be {expected}"
            f" and at most {MAX_LENGTH}"
        )


def _expected_width(dtype: str, shape: Shape) -> int:
    if dtype.startswith(OMITTED):
        inner = dtype[len(OMITTED) :]
        if not inner or inner.startswith(OMITTED):
            raise InvalidValue(f"dtype {dtype[:100]!r} does not say what was omitted")
        _expected_width(inner, shape)
        return 0
    if not dtype.startswith(STRUCT):
        return leaf_width(dtype, shape)
    if shape:
        raise InvalidValue(f"a struct has the shape {list(shape)}: must be []")
    node = tree.parse(dtype[len(STRUCT) :])
    if node.parts is None:
        raise InvalidValue(f"dtype {dtype[:100]!r} is neither a dict nor a tuple")
    return node.width


def layout_of(value: object) -> Layout:
    """Return the layout that stores `value` exactly.

    Numbers and arrays keep their dtype; lists and tuples of numbers are arrays; str is `text`; a dict or tuple with
    arrays in it is a `struct`; plain JSON data (an LLM agent's tool call, say) is `json` and comes back as JSON has it:
    lists for tuples, text for keys, and in place of what JSON cannot say what strict_json.py puts there. None is no
    value, Omitted one that is not recorded.

    Raises:
        InvalidValue: nothing here can hold it (complex numbers, an array of objects, a value that contains itself).
    """
    if type(value) is np.ndarray or (isinstance(value, np.generic) and not isinstance(value, str)):
        return _array_layout(value.dtype, value.shape)
    if isinstance(value, (Mapping, tuple, list)) and tree.has_arrays(value):
        text = tree.text_of(value)
        return Layout(STRUCT + text, (), tree.parse(text).width)
    dtype, shape = leaf_of(value)
    return Layout(dtype, shape, part_width(dtype, shape))


@lru_cache(maxsize=1024)
def _array_layout(dtype: np.dtype[Any], shape: Shape) -> Layout:
    name = dtype_name(dtype)
    return Layout(name, shape, leaf_width(name, shape))


# --- one value ------------------------------------------------------------------------------------------------


def encode_value(layout: Layout, value: object) -> bytes:
    """Return the bytes of `value`, empty if the layout has no values.

    Raises:
        InvalidValue: its layout is another one (nothing is cast or reshaped), or it is not JSON data.
    """
    native = _NATIVE.get(layout.dtype)
    if native is not None:  # the loop of an agent passes here: no byte order to change, nothing to look into
        if isinstance(value, (np.ndarray, np.generic)) and value.dtype == native and value.shape == layout.shape:
            return value.tobytes()
        return encode_leaf(layout.dtype, layout.shape, value)
    if not layout.recorded:
        return b""
    if layout.dtype.startswith(STRUCT):
        return tree.encode(tree.parse(layout.dtype[len(STRUCT) :]), value)
    return encode_leaf(layout.dtype, layout.shape, value)


def decode_value(layout: Layout, raw: bytes) -> Any:  # noqa: ANN401 - any value a layout can describe
    """Return the value: a read-only array (shape `layout.shape`), str, JSON data, dict or tuple, or None.

    None is also the value of a reset's action, which is empty, if the layout is JSON or a struct of variable width.

    Raises:
        InvalidValue: `raw` is not one value of this layout.
    """
    if not layout.recorded or (not raw and layout.width == VARIABLE and layout.dtype.startswith((JSON, STRUCT))):
        return None
    if layout.dtype.startswith(STRUCT):
        return tree.decode(tree.parse(layout.dtype[len(STRUCT) :]), raw)
    return decode_leaf(layout.dtype, layout.shape, raw)


# --- one column: `count` values -------------------------------------------------------------------------------


def pack(layout: Layout, values: Sequence[bytes]) -> bytes:
    """Return the column of these encoded values. A fixed width pads an empty value (a reset's action) with zeros.

    Raises:
        InvalidValue: a value is not of the layout's width.
    """
    if not layout.recorded:
        return b""
    if layout.width == VARIABLE:
        return np.fromiter(map(len, values), _LENGTH, len(values)).tobytes() + b"".join(values)
    if not {len(v) for v in values} <= {0, layout.width}:
        raise InvalidValue(f"a value's bytes are not the {layout.width} of {layout.dtype}{list(layout.shape)}")
    zero = bytes(layout.width)
    return b"".join([v or zero for v in values])


def unpack(layout: Layout, column: bytes, count: int) -> list[bytes]:
    """Return the encoded values of a column of a checked batch.

    Raises:
        InvalidValue: its length is not that of `count` values.
    """
    if layout.width == VARIABLE:
        return _unpack_variable(column, count)
    width = layout.width if layout.recorded else 0
    if len(column) != width * count:
        raise InvalidValue(f"{len(column)} bytes, must be {width * count}: {count} values of {width}")
    return [column[i : i + width] for i in range(0, len(column), width)] if width else [b""] * count


def check_variable(layout: Layout, column: bytes, count: int) -> None:
    """Raise InvalidValue unless the column holds `count` values of variable length, each of them whole items."""
    lengths, item = _lengths(column, count), layout.item_bytes
    if item and bool((lengths % np.int64(min(item, 2**32))).any()):
        raise InvalidValue(f"a value is no whole number of items of {item} bytes")


def _lengths(column: bytes, count: int) -> NDArray[np.int64]:
    """Return the byte lengths of a column's values. Raises InvalidValue if the column has another length."""
    start = 4 * count
    lengths = np.frombuffer(column[:start], _LENGTH) if len(column) >= start else None
    if lengths is None or start + int(lengths.sum(dtype=np.int64)) != len(column):
        raise InvalidValue(f"{len(column)} bytes do not hold {count} values of variable length")
    return lengths.astype(np.int64)


def _unpack_variable(column: bytes, count: int) -> list[bytes]:
    lengths = _lengths(column, count)
    ends = 4 * count + np.cumsum(lengths)
    return [column[end - length : end] for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)]

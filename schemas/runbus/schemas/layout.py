"""How one action or observation becomes bytes, exactly, and back.

A value's **layout** is a dtype (numpy's array-interface string, or a word), a shape and a width in bytes:

| dtype | value | width |
|---|---|---|
| `<f4`, `|u1`, `|b1`, ... | numeric array or scalar, little-endian, C order | itemsize x size |
| `text` | string, UTF-8 | -1: variable |
| `json` | JSON text | -1 |
| `struct:[...]` | Dict or Tuple space: its parts, in order | sum of the parts, -1 with text in it |
| `omitted:<f4` | it exists, recording it is off; the shape is kept | 0 |
| empty | the stream has none | 0 |
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from runbus.schemas.errors import InvalidValue

NUMERIC_DTYPES: frozenset[str] = frozenset(
    ["|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"]
)
TEXT = "text"
JSON = "json"
STRUCT = "struct:"
OMITTED = "omitted:"
VARIABLE = -1
_LENGTH = np.dtype("<u4")


@dataclass(frozen=True, slots=True)
class Layout:
    """What the bytes of a value mean; see the module's table. Equal layouts can share a batch."""

    dtype: str = ""
    shape: tuple[int, ...] = ()
    width: int = 0

    def omitted(self) -> Layout:
        """Return the layout that says: there was such a value, it was not recorded."""
        return Layout(OMITTED + self.dtype, self.shape, 0)

    @property
    def recorded(self) -> bool:
        """Whether values of this layout are in the column."""
        return bool(self.dtype) and not self.dtype.startswith(OMITTED)


NONE = Layout()


def check_layout(layout: Layout) -> None:
    """Raise InvalidValue unless dtype, shape and width agree."""
    if any(n < 0 for n in layout.shape):
        raise InvalidValue(f"shape {list(layout.shape)} has a negative length")
    expected = _expected_width(layout.dtype, layout.shape)
    if layout.width != expected:
        raise InvalidValue(
            f"width {layout.width} of {layout.dtype or 'no value'}{list(layout.shape)}: must be {expected}"
        )


def _expected_width(dtype: str, shape: tuple[int, ...]) -> int:
    if dtype in NUMERIC_DTYPES:
        return np.dtype(dtype).itemsize * math.prod(shape)
    if dtype in (TEXT, JSON):
        return VARIABLE
    if dtype.startswith(STRUCT):
        return _node_width(_parse_struct(dtype))
    if dtype == "" or dtype.startswith(OMITTED):
        return 0
    raise InvalidValue(f"unknown dtype {dtype!r}")


# --- from a value to its layout -------------------------------------------------------------------------------


def layout_of(value: object) -> Layout:
    """Return the layout that stores `value` exactly.

    Numbers and arrays keep their dtype; str is `text`; a dict or tuple with arrays in it is a `struct`; plain JSON
    data (an LLM agent's tool call, say) is `json`; None is no value.

    Raises:
        InvalidValue: nothing here can hold it (complex numbers, objects).
    """
    if value is None:
        return NONE
    if isinstance(value, str):
        return Layout(TEXT, (), VARIABLE)
    if isinstance(value, (Mapping, tuple, list)) and _has_arrays(value):
        node = _node_of(value)
        return Layout(STRUCT + json.dumps(node, separators=(",", ":")), (), _node_width(node))
    array = _as_array(value)
    if array is not None:
        return Layout(_dtype_name(array.dtype), array.shape, array.nbytes)
    return Layout(JSON, (), VARIABLE)


def _has_arrays(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_has_arrays(v) for v in value.values())
    if isinstance(value, (tuple, list)):
        return any(_has_arrays(v) for v in value)
    return isinstance(value, (np.ndarray, np.generic))


def _as_array(value: object) -> np.ndarray[Any, Any] | None:
    """Return the numeric array that equals `value` exactly, or None if there is none."""
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value)
    if isinstance(value, (bytes, bytearray)):
        return np.frombuffer(bytes(value), np.uint8)
    if isinstance(value, bool):
        return np.asarray(value)
    if isinstance(value, float):
        return np.asarray(value, "<f8")
    if isinstance(value, int):
        return _as_integer(value)
    if isinstance(value, (list, tuple)) and value:
        kinds = {type(v) for v in value}
        if kinds in ({bool}, {float}) or (kinds == {int} and all(-(2**63) <= v < 2**63 for v in value)):
            return np.asarray(value)
    return None


def _as_integer(value: int) -> np.ndarray[Any, Any] | None:
    if -(2**63) <= value < 2**63:
        return np.asarray(value, "<i8")
    return np.asarray(value, "<u8") if 0 <= value < 2**64 else None


def _dtype_name(dtype: np.dtype[Any]) -> str:
    name = dtype.newbyteorder("<").str
    if name not in NUMERIC_DTYPES:
        raise InvalidValue(f"dtype {dtype} cannot be recorded; use bool, integers or floats up to 64 bits, or text")
    return name


# --- structs: ["dict", [[key, node], ...]] | ["tuple", [node, ...]] | [dtype, shape] ----------------------------


def _node_of(value: object) -> list[Any]:
    if isinstance(value, Mapping):
        return ["dict", [[str(k), _node_of(v)] for k, v in value.items()]]
    if isinstance(value, (tuple, list)):
        return ["tuple", [_node_of(v) for v in value]]
    leaf = layout_of(value)
    return [leaf.dtype, list(leaf.shape)]


@lru_cache(maxsize=256)
def _parse_struct(dtype: str) -> list[Any]:
    try:
        node = json.loads(dtype[len(STRUCT) :])
        _node_width(node)
    except (ValueError, TypeError, IndexError, RecursionError) as error:
        raise InvalidValue(f"not a struct layout: {dtype[:200]!r}") from error
    assert isinstance(node, list)
    return node


def _node_parts(node: Sequence[Any]) -> list[Any]:
    return [part for _, part in node[1]] if node[0] == "dict" else list(node[1])


def _node_width(node: Sequence[Any]) -> int:
    if node[0] in ("dict", "tuple"):
        widths = [_node_width(part) for part in _node_parts(node)]
        return VARIABLE if VARIABLE in widths else sum(widths)
    if node[0] in (TEXT, JSON):
        return VARIABLE
    if node[0] not in ("", *NUMERIC_DTYPES):
        raise InvalidValue(f"unknown dtype {node[0]!r} in a struct layout")
    return np.dtype(node[0]).itemsize * math.prod(node[1]) if node[0] else 0


def _encode_node(node: Sequence[Any], value: Any) -> bytes:  # noqa: ANN401 - any value a space can hold
    if node[0] == "dict":
        return b"".join(_encode_node(part, value[key]) for key, part in node[1])
    if node[0] == "tuple":
        return b"".join(_encode_node(part, v) for part, v in zip(node[1], value, strict=True))
    raw = encode_value(Layout(node[0], tuple(node[1])), value)
    return len(raw).to_bytes(4, "little") + raw if node[0] in (TEXT, JSON) else raw


def _decode_node(node: Sequence[Any], raw: memoryview) -> tuple[Any, memoryview]:
    if node[0] in ("dict", "tuple"):
        values = []
        for part in _node_parts(node):
            value, raw = _decode_node(part, raw)
            values.append(value)
        if node[0] == "tuple":
            return tuple(values), raw
        return {key: value for (key, _), value in zip(node[1], values, strict=True)}, raw
    if node[0] in (TEXT, JSON):
        end = 4 + int.from_bytes(raw[:4], "little")
        if end > len(raw) or len(raw) < 4:
            raise InvalidValue("a text in a struct value is cut short")
        return decode_value(Layout(node[0], (), VARIABLE), bytes(raw[4:end])), raw[end:]
    width = _node_width(node)
    return decode_value(Layout(node[0], tuple(node[1]), width), bytes(raw[:width])), raw[width:]


# --- one value ------------------------------------------------------------------------------------------------


def encode_value(layout: Layout, value: Any) -> bytes:  # noqa: ANN401 - any value of that layout
    """Return the bytes of `value`, which has this layout."""
    if layout.dtype in NUMERIC_DTYPES:
        return np.ascontiguousarray(value, dtype=layout.dtype).tobytes()
    if layout.dtype == TEXT:
        return str(value).encode("utf-8", "surrogatepass")
    if layout.dtype == JSON:
        return _json_bytes(value)
    if layout.dtype.startswith(STRUCT):
        return _encode_node(_parse_struct(layout.dtype), value)
    return b""


def _json_bytes(value: object) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError) as error:
        raise InvalidValue(f"a {type(value).__name__} cannot be recorded: {error}") from error


def decode_value(layout: Layout, raw: bytes) -> Any:  # noqa: ANN401 - any value a layout can describe
    """Return the value: a numpy array (shape `layout.shape`), str, JSON data, dict or tuple, or None."""
    if not layout.recorded:
        return None
    if layout.dtype in NUMERIC_DTYPES:
        if len(raw) != layout.width:
            raise InvalidValue(f"{len(raw)} bytes for {layout.dtype}{list(layout.shape)}: must be {layout.width}")
        return np.frombuffer(raw, layout.dtype).reshape(layout.shape)
    if layout.dtype.startswith(STRUCT):
        value, rest = _decode_node(_parse_struct(layout.dtype), memoryview(raw))
        if rest:
            raise InvalidValue(f"{len(rest)} bytes too many in a struct value")
        return value
    try:
        text = raw.decode("utf-8", "surrogatepass")
        return text if layout.dtype == TEXT else json.loads(text)
    except ValueError as error:
        raise InvalidValue(f"not {layout.dtype}: {error}") from error


# --- one column: `count` values -------------------------------------------------------------------------------


def pack(layout: Layout, values: Sequence[bytes]) -> bytes:
    """Return the column of these encoded values. A fixed width pads an empty value (a reset's action) with zeros."""
    if not layout.recorded:
        return b""
    if layout.width == VARIABLE:
        lengths = np.fromiter(map(len, values), _LENGTH, len(values))
        return lengths.tobytes() + b"".join(values)
    zero = bytes(layout.width)
    return b"".join([v or zero for v in values])


def unpack(layout: Layout, column: bytes, count: int) -> list[bytes]:
    """Return the encoded values of a column. Raises InvalidValue if its length is not that of `count` values."""
    if not layout.recorded:
        if column:
            raise InvalidValue(f"{len(column)} bytes in a column that has no values")
        return [b""] * count
    if layout.width == VARIABLE:
        return _unpack_variable(column, count)
    if len(column) != layout.width * count:
        raise InvalidValue(f"a column of {len(column)} bytes: {count} values of {layout.width} bytes are needed")
    return (
        [column[i : i + layout.width] for i in range(0, len(column), layout.width)] if layout.width else [b""] * count
    )


def _unpack_variable(column: bytes, count: int) -> list[bytes]:
    start = 4 * count
    lengths = np.frombuffer(column[:start], _LENGTH) if len(column) >= start else None
    if lengths is None or start + int(lengths.sum(dtype=np.int64)) != len(column):
        raise InvalidValue(f"a column of {len(column)} bytes does not hold {count} values of variable length")
    ends = start + np.cumsum(lengths, dtype=np.int64)
    return [column[end - length : end] for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)]

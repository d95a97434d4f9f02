"""Encodes a number, array, string or piece of JSON as bytes: the leaves of every layout."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NoReturn

import numpy as np

from runbus.config.errors import InvalidValue
from runbus.schemas.strict_json import strict_json, utf8_text

NUMERIC_DTYPES: frozenset[str] = frozenset(
    ["|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"]
)
TEXT = "text"
JSON = "json"
OMITTED = "omitted:"
VARIABLE = -1
MAX_DIMENSIONS = 64  # numpy's own limit; without one, the product of a million lengths takes minutes
MAX_LENGTH = 2**31 - 1  # an Avro int

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Omitted:
    """Stands for a value that exists and is not recorded: alone, or as a part of a dict or tuple.

    Attributes:
        why: what is wrong with it; empty = nothing is.
    """

    dtype: str = JSON
    shape: Shape = ()
    why: str = field(default="", compare=False)


def leaf_width(dtype: str, shape: Shape) -> int:
    """Return the bytes of one value, VARIABLE for text, JSON and ragged arrays, 0 for no value (dtype "").

    Raises:
        InvalidValue: no such dtype, or no such shape.
    """
    ragged = is_ragged(shape)
    if len(shape) > MAX_DIMENSIONS or any(not 0 <= n <= MAX_LENGTH for n in shape[ragged:]):
        raise InvalidValue(f"shape {list(shape[:8])}: at most {MAX_DIMENSIONS} lengths of 0 to {MAX_LENGTH}")
    if dtype in NUMERIC_DTYPES and ragged:
        if 0 in shape:
            raise InvalidValue(f"shape {list(shape)}: items that take no bytes cannot be counted")
        return VARIABLE
    if dtype in NUMERIC_DTYPES:
        return np.dtype(dtype).itemsize * math.prod(shape)
    if dtype not in (TEXT, JSON, ""):
        raise InvalidValue(f"unknown dtype {dtype[:100]!r}")
    if shape:
        raise InvalidValue(f"{dtype or 'no value'} has the shape {list(shape)}: must be []")
    return VARIABLE if dtype else 0


def is_ragged(shape: Shape) -> bool:
    """Return whether arrays of this shape have any number of items: its first length is VARIABLE."""
    return shape[:1] == (VARIABLE,)


def item_bytes(dtype: str, shape: Shape) -> int:
    """Return the bytes of one item of a ragged array."""
    return np.dtype(dtype).itemsize * math.prod(shape[1:])


def leaf_of(value: object) -> tuple[str, Shape]:
    """Return the dtype and shape that hold `value`. Raises InvalidValue for a dtype that no layout has."""
    if value is None:
        return "", ()
    if isinstance(value, Omitted):
        return OMITTED + value.dtype, value.shape
    if isinstance(value, str):
        return TEXT, ()
    array = as_array(value)
    return (JSON, ()) if array is None else (dtype_name(array.dtype), array.shape)


def part_width(dtype: str, shape: Shape) -> int:
    """Return the bytes of one part of a dict or tuple, like `leaf_width`; an omitted part has none. Raises alike."""
    if not dtype.startswith(OMITTED):
        return leaf_width(dtype, shape)
    inner = dtype[len(OMITTED) :]
    if not inner:
        raise InvalidValue(f"dtype {dtype[:100]!r} does not say what was omitted")
    leaf_width(inner, shape)
    return 0


def as_array(value: object) -> np.ndarray[Any, Any] | None:
    """Return the numeric array that equals `value`, number by number, or None if there is none.

    Lists and tuples of numbers, nested or not, are arrays if they are rectangular. Booleans alone are bool; whole
    numbers are int64, or uint64 if one needs it; with a float among them all are float64, if each is the same number
    there.
    """
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
    return _as_rows(value) if isinstance(value, (list, tuple)) and value else None


def _as_rows(value: list[Any] | tuple[Any, ...]) -> np.ndarray[Any, Any] | None:
    numbers = list(_numbers(value, MAX_DIMENSIONS))
    dtype = _dtype_of_numbers(numbers)
    if dtype is None:
        return None
    try:
        return np.array(value, dtype)
    except (ValueError, TypeError, OverflowError):  # the rows are not equally long
        return None


def _numbers(value: list[Any] | tuple[Any, ...], levels: int) -> Iterator[object]:
    """Yield the leaves of nested lists, and one None where they go too deep."""
    for part in value:
        if not isinstance(part, (list, tuple)):
            yield part
        elif levels:
            yield from _numbers(part, levels - 1)
        else:
            yield None


def _dtype_of_numbers(numbers: list[Any]) -> str | None:
    kinds = {type(number) for number in numbers}
    if not kinds or not kinds <= {bool, int, float}:
        return None
    if kinds == {bool}:
        return "|b1"
    if float in kinds:
        return "<f8" if all(_is_float(number) for number in numbers) else None
    low, high = min(numbers), max(numbers)
    if low >= -(2**63) and high < 2**63:
        return "<i8"
    return "<u8" if low >= 0 and high < 2**64 else None


def _is_float(number: float) -> bool:
    try:
        return number != number or float(number) == number  # noqa: PLR0124 - NaN
    except OverflowError:
        return False


def _as_integer(value: int) -> np.ndarray[Any, Any] | None:
    if -(2**63) <= value < 2**63:
        return np.asarray(value, "<i8")
    return np.asarray(value, "<u8") if 0 <= value < 2**64 else None


@lru_cache(maxsize=256)
def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return the layout's name of a numpy dtype of any byte order. Raises InvalidValue if there is none."""
    name = dtype.newbyteorder("<").str
    if name not in NUMERIC_DTYPES:
        raise InvalidValue(f"dtype {dtype} cannot be recorded; use bool, integers or floats up to 64 bits, or text")
    return name


def encode_leaf(dtype: str, shape: Shape, value: object) -> bytes:
    """Return the bytes of `value`. Raises InvalidValue if it has another dtype or shape: nothing is cast."""
    if dtype in NUMERIC_DTYPES:
        return _encode_array(dtype, shape, value)
    if dtype == JSON:
        return _json_bytes(value)
    if dtype == TEXT and isinstance(value, str):
        return utf8_text(value).encode()
    if dtype.startswith(OMITTED):
        return b""
    if dtype == "" and value is None:
        return b""
    raise InvalidValue(f"a {type(value).__name__} where {dtype or 'no value'} is expected")


def _encode_array(dtype: str, shape: Shape, value: object) -> bytes:
    array = as_array(value)
    if is_ragged(shape):
        if isinstance(value, (list, tuple)) and not value:  # a list without numbers is of every dtype
            return b""
        shape = array.shape[:1] + shape[1:] if array is not None and array.ndim else shape
    if array is None or array.shape != shape or dtype_name(array.dtype) != dtype:
        found = type(value).__name__ if array is None else f"{array.dtype.str}{list(array.shape)}"
        raise InvalidValue(f"a value {found} where {dtype}{list(shape)} is expected")
    return array.astype(dtype, copy=False).tobytes()


def _json_bytes(value: object) -> bytes:
    try:
        return strict_json(value, _refuse).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"a {type(value).__name__} cannot be recorded: {error}") from error


def _refuse(value: object) -> NoReturn:
    raise TypeError(f"JSON has no word for a {type(value).__name__}")


def _shaped(array: np.ndarray[Any, Any], shape: Shape) -> np.ndarray[Any, Any]:
    try:
        return array.reshape(shape)
    except ValueError as error:  # no value at all, of a size that numpy cannot count: (0, 2**31 - 1, 2**31 - 1, ...)
        raise InvalidValue(f"shape {list(shape)}: {error}") from error


def decode_leaf(dtype: str, shape: Shape, raw: bytes) -> Any:  # noqa: ANN401 - any leaf
    """Return a read-only array of that shape, a str, JSON data, or None. Raises InvalidValue."""
    if dtype in NUMERIC_DTYPES:
        width = leaf_width(dtype, shape)
        if width == VARIABLE:
            count, rest = divmod(len(raw), item_bytes(dtype, shape))
            width, shape = len(raw) - rest, (count, *shape[1:])
        if len(raw) != width:
            raise InvalidValue(f"{len(raw)} bytes for {dtype}{list(shape)}: must be {width}")
        return _shaped(np.frombuffer(raw, dtype), shape)
    if dtype not in (TEXT, JSON):
        return None
    try:
        text = raw.decode("utf-8", "surrogatepass")
        return text if dtype == TEXT else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"not {dtype}: {error}") from error

"""Makes packers: functions that turn values like the last one into bytes, and say None of any other."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from runbus.config.errors import InvalidValue
from runbus.schemas import tree
from runbus.schemas.layout import JSON, NUMERIC_DTYPES, OMITTED, STRUCT, TEXT, VARIABLE, Layout, Omitted
from runbus.schemas.leaf import encode_leaf, is_ragged
from runbus.schemas.strict_json import strict_json, utf8_text
from runbus.schemas.tree import Node

Packer = Callable[[Any], bytes | None]

_INT64 = struct.Struct("<q")
_FLOAT64 = struct.Struct("<d")
_EXACT = 2**53
_FORMATS: Mapping[str, tuple[str, type]] = {"<f8": ("d", float), "<i8": ("q", int)}


def pack_nothing(value: object) -> bytes | None:
    """Return the bytes of no value."""
    return b"" if value is None else None


def packer(value: Any, layout: Layout) -> Packer | None:  # noqa: ANN401 - any value of an agent
    """Return the packer of values of the same types, shapes and keys as `value`, which has this layout.

    Returns None if there is none that is faster than reading each value anew.
    """
    if layout.dtype.startswith(STRUCT):
        return _part_packer(value, tree.parse(layout.dtype[len(STRUCT) :]))
    if layout.dtype.startswith(OMITTED + STRUCT):
        example = tree.parse(layout.dtype[len(OMITTED + STRUCT) :])
        return _part_packer(value, tree.without(example, range(len(tree.leaves(example)))))
    return _leaf_packer(value, layout.dtype, layout.shape)


def _part_packer(value: Any, node: Node) -> Packer | None:  # noqa: ANN401
    if node.parts is None:
        pack = _leaf_packer(value, node.dtype, node.shape)
        return pack if pack is None or node.width != VARIABLE else _with_length(pack)
    if node.keys is not None:
        return _mapping_packer(value, node) if isinstance(value, Mapping) else None
    return _sequence_packer(value, node) if isinstance(value, (tuple, list)) else None


def _leaf_packer(value: Any, dtype: str, shape: tuple[int, ...]) -> Packer | None:  # noqa: ANN401
    if value is None:
        return pack_nothing if not dtype else None
    if is_ragged(shape) and dtype in NUMERIC_DTYPES:
        return _ragged_packer(dtype, shape)
    if dtype.startswith(OMITTED):
        return _omitting(value, dtype[len(OMITTED) :], shape)
    if isinstance(value, (np.ndarray, np.generic)):
        return _numpy_packer(value, dtype, shape)
    return _python_packer(value, dtype, shape)


# --- numbers ----------------------------------------------------------------------------------------------------


def _numpy_packer(value: Any, dtype: str, shape: tuple[int, ...]) -> Packer | None:  # noqa: ANN401
    if value.dtype.str != dtype or dtype not in NUMERIC_DTYPES or value.shape != shape:
        return None
    if type(value) is np.ndarray:
        return _array_packer(value.dtype, shape)
    if isinstance(value, np.ndarray):
        return None
    return _pack_int64 if type(value) is np.int64 else _scalar_packer(type(value))


def _array_packer(dtype: np.dtype[Any], shape: tuple[int, ...]) -> Packer:
    array = np.ndarray

    def pack(value: Any) -> bytes | None:  # noqa: ANN401
        if type(value) is array and value.dtype is dtype and value.shape == shape:
            raw: bytes = value.tobytes()
            return raw
        return None

    return pack


def _scalar_packer(kind: type[np.generic]) -> Packer:
    def pack(value: Any) -> bytes | None:  # noqa: ANN401
        if type(value) is kind:
            raw: bytes = value.tobytes()
            return raw
        return None

    return pack


def _pack_int64(value: object) -> bytes | None:
    return _INT64.pack(value) if type(value) is np.int64 else None  # a third of tobytes() on a scalar


def _python_packer(value: Any, dtype: str, shape: tuple[int, ...]) -> Packer | None:  # noqa: ANN401
    kind = type(value)
    if kind is str and dtype == TEXT:
        return _pack_text
    if dtype == JSON:
        return _pack_json if kind is dict else _pack_json_text if kind is str else None
    if kind in (int, float) and not shape:
        return _pack_int if dtype == "<i8" and kind is int else _pack_float if dtype == "<f8" else None
    if kind is bool and dtype == "|b1":
        return _pack_bool
    if kind is list and dtype in _FORMATS and len(shape) == 1:
        return _list_packer(dtype, shape[0])
    return None


def _pack_int(value: object) -> bytes | None:
    return _INT64.pack(value) if type(value) is int and -(2**63) <= value < 2**63 else None


def _pack_float(value: object) -> bytes | None:
    kind = type(value)
    if kind is float or (kind is int and -_EXACT <= value <= _EXACT):  # type: ignore[operator]  # an int it is
        return _FLOAT64.pack(value)
    return None


def _pack_bool(value: object) -> bytes | None:
    return (b"\x01" if value else b"\0") if type(value) is bool else None


def _ragged_packer(dtype: str, shape: tuple[int, ...]) -> Packer:
    """Return the packer of arrays and lists of any number of items."""
    exact, tail, dimensions = np.dtype(dtype), shape[1:], len(shape)

    def pack(value: Any) -> bytes | None:  # noqa: ANN401
        if type(value) is np.ndarray:
            fits = value.dtype == exact and value.ndim == dimensions and value.shape[1:] == tail
            return value.tobytes() if fits else None
        if type(value) is not list:
            return None
        try:
            return encode_leaf(dtype, shape, value)
        except InvalidValue:
            return None

    return pack


def _list_packer(dtype: str, count: int) -> Packer:
    code, kind = _FORMATS[dtype]
    row, kinds = struct.Struct(f"<{count}{code}"), {kind}

    def pack(value: Any) -> bytes | None:  # noqa: ANN401
        if type(value) is not list or len(value) != count or set(map(type, value)) != kinds:
            return None
        try:
            return row.pack(*value)
        except struct.error:  # past 64 bits
            return None

    return pack


# --- text and JSON ----------------------------------------------------------------------------------------------


def _pack_text(value: object) -> bytes | None:
    return utf8_text(value).encode() if type(value) is str else None


def _pack_json(value: object) -> bytes | None:
    """Return the JSON of a dict of Python's own data; of anything else in it, None."""
    if type(value) is not dict:
        return None
    try:
        return strict_json(value, _not_json).encode() if _is_plain(value, 0) else None
    except TypeError:
        return None


def _pack_json_text(value: object) -> bytes | None:
    return strict_json(value, _not_json).encode() if type(value) is str else None


_PLAIN = frozenset([int, float, bool, str, type(None)])


def _is_plain(value: dict[Any, Any] | list[Any], depth: int) -> bool:
    parts = value.values() if type(value) is dict else value
    for part in parts:
        kind = type(part)
        if kind in _PLAIN:
            continue
        if kind not in (dict, list) or depth > 10 or not _is_plain(part, depth + 1):
            return False
    return True


def _not_json(value: object) -> object:
    raise TypeError(type(value).__name__)


# --- what is not recorded ---------------------------------------------------------------------------------------


def _omitting(value: Any, dtype: str, shape: tuple[int, ...]) -> Packer | None:  # noqa: ANN401
    """Return the packer of a value that is not recorded: it looks at dtype and shape, and copies nothing."""
    kind = type(value)
    if kind is np.ndarray and value.dtype.str == dtype and value.shape == shape:
        exact = value.dtype
        return lambda v: b"" if type(v) is np.ndarray and v.dtype is exact and v.shape == shape else None
    if kind is Omitted or (kind is str and dtype == TEXT) or (kind is dict and dtype == JSON):
        return lambda v: b"" if type(v) is kind else None
    return None


# --- dicts and tuples -------------------------------------------------------------------------------------------


def _mapping_packer(example: Mapping[Any, Any], node: Node) -> Packer | None:
    kind, keys = type(example), tuple(example)
    if kind not in (dict, OrderedDict):
        return None
    if tuple(map(str, keys)) != node.keys:  # in another order: read each value anew
        return None
    packers = [_part_packer(example[key], part) for key, part in zip(keys, node.parts or (), strict=True)]
    if None in packers:
        return None
    pairs = [(key, pack) for key, pack in zip(keys, packers, strict=True) if pack is not None]

    def pack(value: Any) -> bytes | None:  # noqa: ANN401
        if type(value) is not kind or tuple(value) != keys:
            return None
        return _joined([pack_part(value[key]) for key, pack_part in pairs])

    return pack


def _sequence_packer(example: tuple[Any, ...] | list[Any], node: Node) -> Packer | None:
    kind, parts = type(example), node.parts or ()
    if len(example) != len(parts):
        return None
    packers = [pack for pack in map(_part_packer, example, parts) if pack is not None]
    if len(packers) != len(parts):
        return None

    def pack(value: Any) -> bytes | None:  # noqa: ANN401
        if type(value) is not kind or len(value) != len(packers):
            return None
        return _joined([pack_part(part) for pack_part, part in zip(packers, value, strict=True)])

    return pack


def _joined(raws: list[bytes | None]) -> bytes | None:
    return None if None in raws else b"".join(raws)  # type: ignore[arg-type]  # no None is left


def _with_length(pack: Packer) -> Packer:
    def prefixed(value: object) -> bytes | None:
        raw = pack(value)
        return None if raw is None else len(raw).to_bytes(4, "little") + raw

    return prefixed

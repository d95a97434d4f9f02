"""Copies values that an agent passes, as bytes of their layout: fast while the layout stays the same."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from runbus.config.errors import ConfigError
from runbus.schemas.layout import JSON, NONE, NUMERIC_DTYPES, STRUCT, TEXT, Layout, encode_value, layout_of

Observations = Literal["auto", "all", "none"]
Packer = Callable[[Any], bytes | None]

AUTO_MAX_BYTES = 1024
_INT64 = struct.Struct("<q")


class Capture:
    """Copies one column's values. `layout` is that of the last value.

    Args:
        choose: full layout -> the layout to record it in (itself, or omitted).
    """

    __slots__ = ("_choose", "layout", "pack")

    def __init__(self, choose: Callable[[Layout], Layout]) -> None:
        self._choose = choose
        self.layout = NONE
        #: value -> its bytes, or None if its layout is another one: then `learn` it
        self.pack: Packer = _pack_nothing

    def learn(self, value: Any) -> bytes:  # noqa: ANN401 - any value of an agent
        """Return the bytes of a value whose layout is new. Raises InvalidValue if nothing can hold it."""
        recordable = as_recordable(value)
        full = layout_of(recordable)
        layout = self._choose(full)
        if not layout.recorded and layout.dtype:
            pack = _omitting(value, full)
        else:
            pack = packer(value, full) if recordable is value else _any_packer(full)
        raw = pack(value)
        assert raw is not None, "a packer fits the value it was made for"
        self.pack = pack
        if layout != self.layout:  # equal layouts keep one identity, which is what the stream compares
            self.layout = layout
        return raw


def as_recordable(value: Any) -> Any:  # noqa: ANN401 - any value of an agent
    """Return `value`, or the array of what offers one (a torch tensor on the CPU, say)."""
    if isinstance(value, (np.ndarray, np.generic)) or not hasattr(type(value), "__array__"):
        return value
    return np.asarray(value)


def chooser(observations: Observations) -> Callable[[Layout], Layout]:
    """Return what chooses the layout of an observation: see Recorder. Raises ConfigError for another word."""
    match observations:
        case "all":
            return as_is
        case "none":
            return lambda layout: layout.omitted() if layout.dtype else layout
        case "auto":
            return lambda layout: layout.omitted() if _is_large(layout) else layout
    raise ConfigError(f"observations={observations!r} is not one of auto, all, none")


def as_is(layout: Layout) -> Layout:
    """Return the layout itself: the value is recorded."""
    return layout


def _is_large(layout: Layout) -> bool:
    image = layout.dtype == "|u1" and len(layout.shape) >= 3
    return layout.width > AUTO_MAX_BYTES or image


# --- packers: one closure per layout --------------------------------------------------------------------------


def packer(value: object, layout: Layout) -> Packer:
    """Return the fastest packer for values like `value`, which has this layout."""
    if value is None:
        return _pack_nothing
    if isinstance(value, np.ndarray) and type(value) is np.ndarray and value.dtype.str in NUMERIC_DTYPES:
        return _array_packer(value.dtype, value.shape)
    if isinstance(value, np.generic) and value.dtype.str in NUMERIC_DTYPES:
        return _pack_int64 if type(value) is np.int64 else _scalar_packer(type(value))
    if type(value) is int and layout.dtype == "<i8":
        return _pack_int
    if type(value) is str and layout.dtype == TEXT:
        return _pack_text
    if layout.dtype.startswith(STRUCT):
        return _struct_packer(value)
    return _any_packer(layout)


def _pack_nothing(value: object) -> bytes | None:
    return b"" if value is None else None


def _pack_int(value: object) -> bytes | None:
    return _INT64.pack(value) if type(value) is int and -(2**63) <= value < 2**63 else None


def _pack_int64(value: object) -> bytes | None:
    return _INT64.pack(value) if type(value) is np.int64 else None  # a third of tobytes() on a scalar


def _pack_text(value: object) -> bytes | None:
    return value.encode("utf-8", "surrogatepass") if type(value) is str else None


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


def _any_packer(layout: Layout) -> Packer:
    def pack(value: object) -> bytes | None:
        value = as_recordable(value)
        return encode_value(layout, value) if layout_of(value) == layout else None

    return pack


def _omitting(value: object, full: Layout) -> Packer:
    """Return the packer of a value that is not recorded: it looks at the layout and copies nothing."""
    if type(value) is np.ndarray:
        dtype, shape = value.dtype, value.shape
        return lambda v: b"" if type(v) is np.ndarray and v.dtype is dtype and v.shape == shape else None
    if full.dtype in (TEXT, JSON):
        kind = type(value)
        return lambda v: b"" if type(v) is kind else None
    return lambda v: b"" if layout_of(as_recordable(v)) == full else None


def _struct_packer(value: object) -> Packer:
    """Return the packer of a dict or tuple: one packer per part; the layout fits while every part's does."""
    if isinstance(value, Mapping):
        return _mapping_packer(value)
    if isinstance(value, (tuple, list)):
        return _sequence_packer(value)
    layout = layout_of(value)
    pack = packer(value, layout)
    return _with_length(pack) if layout.dtype in (TEXT, JSON) else pack


def _mapping_packer(example: Mapping[Any, Any]) -> Packer:
    kind, keys = type(example), tuple(example)
    parts = [(key, _struct_packer(part)) for key, part in example.items()]

    def pack(value: Any) -> bytes | None:  # noqa: ANN401
        if type(value) is not kind or tuple(value) != keys:
            return None
        return _joined([pack_part(value[key]) for key, pack_part in parts])

    return pack


def _sequence_packer(example: tuple[Any, ...] | list[Any]) -> Packer:
    kind, parts = type(example), [_struct_packer(part) for part in example]

    def pack(value: Any) -> bytes | None:  # noqa: ANN401
        if type(value) is not kind or len(value) != len(parts):
            return None
        return _joined([pack_part(part) for pack_part, part in zip(parts, value, strict=True)])

    return pack


def _joined(raws: list[bytes | None]) -> bytes | None:
    return None if None in raws else b"".join(raws)  # type: ignore[arg-type]  # no None is left


def _with_length(pack: Packer) -> Packer:
    def prefixed(value: object) -> bytes | None:
        raw = pack(value)
        return None if raw is None else len(raw).to_bytes(4, "little") + raw

    return prefixed


# --- rewards and named numbers --------------------------------------------------------------------------------


def number(value: Any) -> float:  # noqa: ANN401 - any reward of an environment
    """Return `value` as the float64 that it is; arrays of one element count. Raises TypeError or ValueError."""
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{value!r} is not a number")
    if hasattr(value, "item"):
        value = value.item()
    return float(value)


def plain_number(value: float) -> float | str:
    """Return what JSON can carry: the number, or its name if JSON has none (`NaN`, `Infinity`, `-Infinity`)."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"

"""Shows recorded actions and observations as JSON says them: what they are, their shape, and their numbers, flat.

null                                                    there is none: no layout, or the action of a reset
{"dtype": "<f4", "shape": [4], "data": [0.1, ...]}      numbers, in C order; not finite ones are null
{"dtype": "|u1", "shape": [84, 84, 3], "base64": "..."} bytes with two dimensions or more: an image
{"dtype": "<i8", "shape": [], "data": ["9223..."]}      whole numbers of which one is above 2^53: as digits
{"dtype": "text" or "json", "text": "..."}
{"dtype": "struct", "parts": {name: value} or [value]}
{"dtype": "omitted:<f4", "shape": [4]}                  it exists and is not recorded
{"dtype": "absent:<f4", "shape": [4]}                   other steps have one, in this one it does not exist
{"dtype": ..., "shape": ..., "error": "..."}            its bytes are not what its layout says
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from runbus.config.errors import InvalidValue
from runbus.schemas.layout import ABSENT, JSON, OMITTED, STRUCT, TEXT, Layout, decode_value
from runbus.schemas.leaf import leaf_width
from runbus.schemas.tree import Node, parse

_EXACT = 1 << 53

Shown = dict[str, Any] | None


def shown(dtype: str, shape: Sequence[int], raw: bytes) -> Shown:
    """Return a value as JSON says it: see the module.

    Args:
        dtype, shape: as a row of `steps` has them.
        raw: its bytes.
    """
    if not dtype:
        return None
    if dtype.startswith((ABSENT, OMITTED)):
        return {"dtype": dtype, "shape": list(shape)}
    if dtype in (TEXT, JSON):
        return {"dtype": dtype, "text": raw.decode("utf-8", "replace")}
    try:
        layout = layout_of_row(dtype, tuple(shape))
        if not raw and layout.width:
            return None
        value = decode_value(layout, raw)
        return _part(parse(dtype[len(STRUCT) :]), value) if dtype.startswith(STRUCT) else _array(value)
    except (InvalidValue, ValueError) as error:
        return {"dtype": dtype[:200], "shape": list(shape), "error": str(error)}


@lru_cache(maxsize=256)
def layout_of_row(dtype: str, shape: tuple[int, ...]) -> Layout:
    """Return the layout of one row's value. Raises InvalidValue if there is no such layout."""
    if dtype.startswith(STRUCT):
        return Layout(dtype, (), parse(dtype[len(STRUCT) :]).width)
    return Layout(dtype, shape, leaf_width(dtype, shape))


def _part(node: Node, value: Any) -> Shown:  # noqa: ANN401 - any value of a struct
    if node.parts is not None:
        if node.keys is None:
            pairs = zip(node.parts, value, strict=True)
            return {"dtype": "struct", "parts": [_part(part, inner) for part, inner in pairs]}
        named = zip(node.keys, node.parts, strict=True)
        return {"dtype": "struct", "parts": {str(name): _part(part, value[name]) for name, part in named}}
    if node.dtype.startswith(OMITTED):
        return {"dtype": node.dtype, "shape": list(node.shape)}
    if node.dtype == TEXT:
        return {"dtype": TEXT, "text": value.encode("utf-8", "replace").decode()}
    return {"dtype": JSON, "text": json.dumps(value)} if node.dtype == JSON else _array(value)


def _array(array: np.ndarray[Any, Any] | None) -> Shown:
    if array is None:
        return None
    about: dict[str, Any] = {"dtype": array.dtype.str, "shape": list(array.shape)}
    if array.dtype == np.uint8 and array.ndim >= 2:
        return {**about, "base64": b64encode(array.tobytes()).decode()}
    numbers = array.reshape(-1)
    if numbers.dtype.kind in "iu" and numbers.size and _large(numbers):
        return {**about, "data": [str(number) for number in numbers.tolist()]}
    return {**about, "data": numbers.tolist()}


def _large(numbers: np.ndarray[Any, Any]) -> bool:
    return int(numbers.max()) > _EXACT or int(numbers.min()) < -_EXACT

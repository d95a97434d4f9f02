"""Finds one layout for arrays whose number of items changes from step to step: token ids, log-probabilities, masks."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from runbus.schemas import tree
from runbus.schemas.layout import NUMERIC_DTYPES, STRUCT, VARIABLE, Layout
from runbus.schemas.leaf import Shape


@lru_cache(maxsize=1024)
def ragged(before: Layout, now: Layout) -> Layout | None:
    """Return the layout with ragged arrays that values of both layouts have, or None: they differ in more than that."""
    if before.dtype.startswith(STRUCT) and now.dtype.startswith(STRUCT):
        return _of_structs(before.dtype[len(STRUCT) :], now.dtype[len(STRUCT) :])
    shape = _shape(before.dtype, before.shape, now.dtype, now.shape)
    return None if shape is None else Layout(now.dtype, shape, VARIABLE)


def emptied(before: Layout, value: object) -> Layout | None:
    """Return the layout of a list without numbers, if lists of numbers came before it; else None."""
    if isinstance(value, (list, tuple)) and not value and before.dtype in NUMERIC_DTYPES and len(before.shape) == 1:
        return Layout(before.dtype, (0,), 0)
    return None


def _shape(before: str, shape: Shape, now: str, other: Shape) -> Shape | None:
    """Return the shape of ragged arrays of one dtype that differ in their number of items."""
    if before != now or now not in NUMERIC_DTYPES or len(shape) != len(other) or not shape or shape == other:
        return None
    return (VARIABLE, *other[1:]) if shape[1:] == other[1:] and 0 not in other[1:] else None


def _of_structs(before: str, now: str) -> Layout | None:
    merged = _merged(json.loads(before), json.loads(now))
    if merged is None:
        return None
    text = json.dumps(merged, separators=(",", ":"))
    width = tree.parse(text).width
    return Layout(STRUCT + text, (), width) if width == VARIABLE and text != now else None


def _merged(before: Any, now: Any) -> Any:  # noqa: ANN401 - a struct's text, as JSON
    """Return the description that both values fit, or None."""
    if before == now:
        return now
    (kind, old), (other, new) = before, now
    if kind != other or len(old) != len(new):
        return None
    if kind == "tuple":
        parts = [_merged(one, two) for one, two in zip(old, new, strict=True)]
        return None if None in parts else [kind, parts]
    if kind == "dict":
        if [key for key, _ in old] != [key for key, _ in new]:
            return None
        parts = [_merged(one[1], two[1]) for one, two in zip(old, new, strict=True)]
        return None if None in parts else [kind, [[pair[0], part] for pair, part in zip(new, parts, strict=True)]]
    shape = _shape(kind, tuple(old), other, tuple(new))
    return None if shape is None else [kind, list(shape)]

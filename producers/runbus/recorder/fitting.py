"""Reads a value as its stream's values are: the same numbers in the stream's dtype, so that batches stay whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.recorder.structure import FREE, Structure
from runbus.schemas.layout import NUMERIC_DTYPES
from runbus.schemas.leaf import as_array

_KINDS = "biuf"  # bool, integers, floats: a number may become one of a later kind, never of an earlier one
_FEW = 4096  # so many whole numbers past a float's digits are compared one by one


def fitted(value: Any, structure: Structure, rows: int = 0) -> Any:  # noqa: ANN401 - any value of an agent
    """Return `value` with its numbers in the dtypes of `structure`, or in the narrowest ones that hold both.

    No number changes: one that neither holds keeps its own dtype. A list of numbers becomes an array, a mapping a
    dict in the structure's order; what is not as the structure says is returned as it is.

    Args:
        value: as `readable` returns it.
        rows: leading axes that are not in the structure: 1 for a batch of values.
    """
    if structure is FREE or value is None:
        return value
    if structure.numeric:
        return _numbers(value, structure, rows)
    if structure.keys is not None and isinstance(value, Mapping):
        return _mapping(value, structure, rows)
    if structure.parts is not None and isinstance(value, (tuple, list)) and len(value) == len(structure.parts):
        pairs = zip(value, structure.parts, strict=True)
        return tuple(fitted(part, of_part, rows) for part, of_part in pairs)
    return value


def _mapping(value: Mapping[Any, Any], structure: Structure, rows: int) -> Mapping[Any, Any]:
    named = {str(key): part for key, part in value.items()}
    keys, parts = structure.keys or (), structure.parts or ()
    if len(named) != len(value):
        return value
    found = {
        key: fitted(named.pop(key), of_part, rows) for key, of_part in zip(keys, parts, strict=True) if key in named
    }
    return {**found, **named}


def _numbers(value: Any, structure: Structure, rows: int) -> Any:  # noqa: ANN401
    array = as_array(value)
    if array is None or array.shape[rows:] != structure.shape or array.dtype.kind not in _KINDS:
        return value
    return in_dtype(array, np.dtype(structure.dtype))


def in_dtype(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the same numbers in `dtype`, else in the narrowest dtype above both, else as they are."""
    if array.dtype == dtype:
        return array
    if is_exact(array, dtype):
        return array.astype(dtype)
    wider = np.promote_types(array.dtype, dtype)
    if wider.kind == "f" and "f" not in (array.dtype.kind, dtype.kind):  # int64 and uint64: no integer dtype holds both
        return array
    fits = wider.newbyteorder("<").str in NUMERIC_DTYPES and is_exact(array, wider)
    return array.astype(wider) if fits else array


def is_exact(array: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Return whether every number of `array` is the same number in `dtype`, NaN with all its bits."""
    kind, target = array.dtype.kind, dtype.kind
    if kind == "b" or not array.size:
        return True
    if target == "b" or (kind == "f" and target != "f"):
        return False
    if kind == "f":
        with np.errstate(all="ignore"):
            return bool(array.astype(dtype).astype(array.dtype).tobytes() == array.tobytes())
    low, high = int(array.min()), int(array.max())
    if target != "f":
        bounds = np.iinfo(dtype)
        return bounds.min <= low and high <= bounds.max
    exact = 2 ** (np.finfo(dtype).nmant + 1)
    if -exact <= low and high <= exact:
        return True
    numbers = array.ravel().tolist()
    return dtype.itemsize == 8 and len(numbers) <= _FEW and all(float(number) == number for number in numbers)

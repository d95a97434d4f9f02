"""Describes Gymnasium's spaces as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces

from runbus.recorder.text import json_text

_MAX_BOUNDS = 16  # a bound of more values is given by its least and greatest


def space_json(space: spaces.Space[Any]) -> str:
    """Return a space as JSON that can be read without Gymnasium: type, shape, dtype, bounds."""
    return json_text(_described(space))


def _described(space: spaces.Space[Any]) -> dict[str, object]:
    described: dict[str, object] = {"type": type(space).__name__}
    if space.shape is not None:
        described["shape"] = list(space.shape)
    if space.dtype is not None:
        described["dtype"] = np.dtype(space.dtype).name
    match space:
        case spaces.Box():
            described |= {"low": _bound(space.low, min), "high": _bound(space.high, max)}
        case spaces.Discrete():
            described |= {"n": int(space.n), "start": int(space.start)}
        case spaces.MultiDiscrete():
            described |= {"nvec": space.nvec.tolist(), "start": space.start.tolist()}
        case spaces.Dict():
            described["spaces"] = {key: _described(part) for key, part in space.spaces.items()}
        case spaces.Tuple():
            described["spaces"] = [_described(part) for part in space.spaces]
        case spaces.Text():
            described |= {"min_length": space.min_length, "max_length": space.max_length}
            if space.characters != spaces.Text(1).characters:
                described["characters"] = space.characters
        case _:
            described["text"] = str(space)
    return described


def _bound(values: np.ndarray[Any, Any], pick: Callable[[Any], Any]) -> object:
    """Return a Box's bound: every value if they are few, else the outermost one."""
    return values.tolist() if values.size <= _MAX_BOUNDS else pick(values.ravel()).item()

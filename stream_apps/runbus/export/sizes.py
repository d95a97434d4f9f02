"""Says about how many bytes some rows take in memory, so that a writer knows when it holds enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from runbus.replay import StepRows

_OBJECT = 48  # about what Python needs for a small one


def held_bytes(rows: StepRows) -> int:
    """Return about how many bytes the actions, observations and texts of some rows take."""
    return sum(map(_bytes_of, (rows.action, rows.observation, rows.texts)))


def _bytes_of(value: object) -> int:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.nbytes
    if isinstance(value, str):
        return _OBJECT + len(value)
    if isinstance(value, Mapping):
        return _OBJECT + sum(map(_bytes_of, value.values()))
    if value is None or isinstance(value, (bool, int, float)):
        return _OBJECT
    return _OBJECT + sum(map(_bytes_of, value)) if isinstance(value, Iterable) else _OBJECT

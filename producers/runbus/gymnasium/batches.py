"""Knows how a vector environment batches the values of a space: as arrays, or as a value for each environment."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces
from gymnasium.vector.utils import iterate

_ARRAYS = (spaces.Box, spaces.Discrete, spaces.MultiBinary, spaces.MultiDiscrete)


class Batches:
    """The batches of one space.

    Args:
        single: the space of one environment.
        batched: that of all of them.
        count: how many there are.
    """

    def __init__(self, single: spaces.Space[Any], batched: spaces.Space[Any], count: int) -> None:
        self._batched = batched
        self._count = count
        self._columns = _as_arrays(single)
        self._is_dict = isinstance(single, spaces.Dict)
        self._empty = isinstance(single, (spaces.Dict, spaces.Tuple)) and not single.spaces

    def rows(self, values: Any) -> Any:  # noqa: ANN401 - any batch
        """Return the values if they are arrays, or dicts and tuples of such; else a list of a value per environment."""
        if self._columns and not self._is_dict:
            return values
        try:
            if self._is_dict and isinstance(values, (list, tuple)):
                return list(values)  # a dict of each environment, as some vector environments give them
            if self._empty:
                return [values] * self._count  # nothing in it says how many there are
            return values if self._columns else list(iterate(self._batched, values))
        except Exception:  # noqa: BLE001 - values that are not of their space: the recorder says what is wrong with them
            return values


def _as_arrays(space: spaces.Space[Any]) -> bool:
    if isinstance(space, spaces.Dict):
        return bool(space.spaces) and all(map(_as_arrays, space.spaces.values()))
    if isinstance(space, spaces.Tuple):
        return bool(space.spaces) and all(map(_as_arrays, space.spaces))
    return isinstance(space, _ARRAYS)

"""Takes the infos of a vector environment apart into the infos of its environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: the last observation and info of an episode, in the call that also begins the next one: Gymnasium 1.x; 0.29
_FINAL_OBSERVATION = ("final_obs", "final_observation")
_FINAL_INFO = "final_info"
_STATISTICS = "episode"


class RowInfos(NamedTuple):
    """What the infos of one call say, by row.

    Attributes:
        infos: info of each row that has one.
        final_infos: the last info of an episode that ended in this call.
        final_observations: its last observation.
    """

    infos: dict[int, dict[str, Any]]
    final_infos: dict[int, dict[str, Any]]
    final_observations: dict[int, Any]

    def end(self, rows: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return the last info of rows whose episode ended, with the statistics that RecordEpisodeStatistics adds."""
        found = {}
        for row in rows:
            statistics = {name: value for name, value in self.infos.get(row, {}).items() if name == _STATISTICS}
            found[row] = {**self.final_infos.get(row, {}), **statistics}
        return {row: info for row, info in found.items() if info}

    def begin(self, rows: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return the first info of the episode that began in the rows of an end."""
        found = {row: {k: v for k, v in self.infos.get(row, {}).items() if k != _STATISTICS} for row in rows}
        return {row: info for row, info in found.items() if info}


NO_INFOS = RowInfos({}, {}, {})


def row_infos(infos: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None, count: int) -> RowInfos:
    """Return the infos of `count` rows.

    Args:
        infos: a list with a dict for each row; or a dict of values for all rows: arrays, or dicts of such, whose mask
            `_name` says which rows have one (all without a mask). A value without an axis for the rows goes to row 0.
    """
    if not infos:
        return NO_INFOS
    if isinstance(infos, Mapping):
        found = _by_row(infos, range(count), count)
    else:
        found = {row: dict(info) for row, info in enumerate(infos[:count]) if info}
    finals: dict[int, Any] = {}
    final_infos: dict[int, dict[str, Any]] = {}
    for row, info in found.items():
        for name in _FINAL_OBSERVATION:
            value = info.pop(name, None)
            if value is not None:
                finals[row] = value
        last = info.pop(_FINAL_INFO, None)
        if isinstance(last, Mapping):
            final_infos[row] = dict(last)
    return RowInfos({row: info for row, info in found.items() if info}, final_infos, finals)


def only_final_observations(infos: Any) -> Any:  # noqa: ANN401 - whatever a vector environment returns
    """Return the infos without anything but final observations and their masks."""
    names = {*_FINAL_OBSERVATION, *(f"_{name}" for name in _FINAL_OBSERVATION)}
    if isinstance(infos, Mapping):
        return {name: value for name, value in infos.items() if name in names}
    if isinstance(infos, Sequence):
        return [{name: value for name, value in info.items() if name in names} if info else {} for info in infos]
    return None


def _by_row(infos: Mapping[str, Any], rows: Sequence[int], count: int) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for name, values in infos.items():
        if name.startswith("_") and name[1:] in infos:
            continue  # the mask of another value
        masked = _mask(infos.get(f"_{name}"), count)
        chosen = rows if masked is None else _chosen(rows, masked)
        for row, part in _parts(values, chosen, count, all_rows=masked is not None):
            if part is not None or masked is not None:
                found.setdefault(row, {})[name] = part
    return found


def _parts(values: Any, rows: Sequence[int], count: int, *, all_rows: bool) -> list[tuple[int, Any]]:  # noqa: ANN401
    """Return the value of each of `rows` that has one; `all_rows`: also if nothing is in it."""
    if isinstance(values, Mapping):
        inner = _by_row(values, rows, count)
        return [(row, inner.get(row, {})) for row in rows if all_rows or row in inner]
    if _has_rows(values, count):
        return [(row, values[row]) for row in rows]
    return [(rows[0], values)] if rows else []


def _chosen(rows: Sequence[int], mask: NDArray[np.bool_]) -> list[int]:
    if len(rows) == len(mask):  # all of them
        found: list[int] = np.flatnonzero(mask).tolist()
        return found
    return [row for row in rows if mask[row]]


def _mask(flags: Any, count: int) -> NDArray[np.bool_] | None:  # noqa: ANN401
    return None if flags is None or np.shape(flags) != (count,) else np.asarray(flags, bool)


def _has_rows(values: Any, count: int) -> bool:  # noqa: ANN401
    if isinstance(values, (list, tuple)):
        return len(values) == count
    shape = getattr(values, "shape", None)
    return isinstance(shape, tuple) and len(shape) > 0 and bool(shape[0] == count)

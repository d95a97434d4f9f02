"""Reads values of n environments at once: arrays, and dicts and tuples of them, without a loop over the environments.

Whether a tuple is a batch, its space says. Without a space it is read by the rule of Gymnasium's vector environments: a
tuple with arrays (or dicts, or such tuples) in it has the parts of a Tuple space, each for all environments; every
other tuple, and every list, has one value an environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.config.errors import InvalidValue
from runbus.recorder.fitting import fitted
from runbus.recorder.reading import Reading
from runbus.recorder.structure import FREE, Structure
from runbus.recorder.values import LEFT_OUT, Capture
from runbus.schemas import tree
from runbus.schemas.layout import NONE, OMITTED, STRUCT, VARIABLE, Layout, Omitted, layout_of
from runbus.schemas.leaf import as_array
from runbus.schemas.tree import Node

#: values of n environments, n -> the bytes of n values, or None if they are not like those it was made for
Copier = Callable[[Any, int], bytes | None]


class BatchedColumn:
    """Copies the values of n environments as one column. `layout` is that of the last ones.

    Attributes:
        flaw: why the last values were left out, all of them; empty = they were not.
    """

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._copy: Copier = _copy_nothing
        self._layout = NONE
        self._left_out = (NONE, LEFT_OUT)  # a layout, and what it is where its values are left out
        self.layout = NONE
        self.flaw = ""

    def take(self, values: Any, count: int) -> bytes | None:  # noqa: ANN401
        """Return the bytes of `count` values, empty if they are not recorded; None if each is to be read by itself."""
        raw = self._copy(values, count)
        if raw is not None:
            self.layout, self.flaw = self._layout, ""
            return raw
        if type(values) is Omitted:  # the values are there, and the caller does not want them recorded
            if self._left_out[0] is not self._layout:
                self._left_out = (self._layout, self._layout.omitted())
            self.flaw, self.layout = values.why, self._left_out[1]
            return b""
        try:
            return self._new(values, count)
        except Exception as error:  # noqa: BLE001 - the values are the user's: any error is possible
            self.flaw, self.layout = str(error), LEFT_OUT
            return b""

    def _new(self, values: Any, count: int) -> bytes | None:  # noqa: ANN401
        self.flaw = ""
        read = Values(values, self._capture.structure)
        if read.count is not None and read.count != count:
            raise InvalidValue(f"{read.count} values for {count} environments")
        if values is None:
            rows: Any = None
        elif read.flawed or (rows := read.rows()) is None:
            return None
        if (raw := self._copy(rows, count)) is not None and rows is not None:
            self.layout = self._layout
            return raw
        rows = fitted(rows, self._capture.structure, rows=1)
        full = layout_of(first(rows))
        if full.width == VARIABLE:
            return None
        self.layout = self._layout = self._capture.settle(first(rows))
        self._copy = copier(rows, self.layout)
        raw = self._copy(rows, count)
        assert raw is not None, "a copier fits the values it was made for"
        return raw


class Values:
    """The values of n environments, in whatever form they came.

    Attributes:
        plain: arrays, dicts, tuples and lists.
        flawed: a part of them could not be read.
    """

    def __init__(self, values: Any, structure: Structure) -> None:  # noqa: ANN401
        reading = Reading()
        self.plain = reading.plain(values, -1)  # a value of one environment is a whole value
        self.flawed = bool(reading.flaws)
        self._structure = structure
        #: how many environments they are of; None = there are no values
        self.count: int | None = None if values is None or type(values) is Omitted else _count(self.plain, structure)

    def rows(self) -> Any:  # noqa: ANN401 - arrays of n rows, or dicts and tuples of them
        """Return the arrays of all environments; None if each value is to be read by itself."""
        return _stacked(self.plain, self._structure)

    def row(self, index: int) -> Any:  # noqa: ANN401
        """Return the value of one environment."""
        return _row(self.plain, self._structure, index)

    def picked(self, chosen: NDArray[np.int64]) -> Any:  # noqa: ANN401
        """Return the values of these environments, in the form in which they came."""
        return self.plain if self.count is None else _picked(self.plain, self._structure, chosen)


# --- what is a batch --------------------------------------------------------------------------------------------


def _part_structures(values: Any, structure: Structure) -> dict[Any, Structure] | None:  # noqa: ANN401
    """Return the structure of each part, by key or index, if `values` are the batched parts of a dict or tuple."""
    if isinstance(values, Mapping):
        known = dict(zip(structure.keys or (), structure.parts or (), strict=False)) if structure.keys else {}
        return {key: known.get(str(key), FREE) for key in values}
    if type(values) is list or not isinstance(values, tuple) or structure.keys is not None:
        return None
    if structure.parts is not None:
        return dict(enumerate(structure.parts)) if len(values) == len(structure.parts) else None
    if structure != FREE or not _has_batches(values):
        return None
    return dict.fromkeys(range(len(values)), FREE)


def _has_batches(values: tuple[Any, ...]) -> bool:
    """Return whether a tuple is the parts of a Tuple space: all can be for several environments, and one surely is."""
    return any(map(_is_batch, values)) and all(isinstance(v, (np.ndarray, Mapping, tuple, list)) for v in values)


def _is_batch(part: object) -> bool:
    if isinstance(part, np.ndarray):
        return part.ndim > 0
    if type(part) is tuple:  # a named tuple is one value: a graph, say
        return _has_batches(part)
    return isinstance(part, Mapping)


def _count(values: Any, structure: Structure) -> int:  # noqa: ANN401
    """Return how many environments the values are of. Raises InvalidValue if their parts disagree, or have no rows."""
    parts = _part_structures(values, structure)
    if parts is None:
        if not isinstance(values, (np.ndarray, Sequence)) or (isinstance(values, np.ndarray) and not values.ndim):
            raise InvalidValue(f"a {type(values).__name__} has no value for each environment")
        return len(values)
    counts = {_count(values[key], part) for key, part in parts.items()}
    if len(counts) != 1:
        raise InvalidValue(
            f"the parts of a {type(values).__name__} are for {sorted(counts)} environments. A tuple of arrays is read "
            "as the parts of a Tuple space, as Gymnasium's vector environments give it: give a list if it has one "
            "value an environment, or the space of one environment (observation_space=, action_space=)"
        )
    return counts.pop()


def _stacked(values: Any, structure: Structure) -> Any:  # noqa: ANN401
    parts = _part_structures(values, structure)
    if parts is None:
        return _stacked_leaf(values)
    found = {key: _stacked(values[key], part) for key, part in parts.items()}
    if any(part is None for part in found.values()):
        return None
    return found if isinstance(values, Mapping) else tuple(found.values())


def _stacked_leaf(values: Any) -> NDArray[Any] | None:  # noqa: ANN401
    if isinstance(values, np.ndarray):
        return values
    if not isinstance(values, (list, tuple)) or not values:
        return None
    arrays = [as_array(value) for value in values]
    first_one = arrays[0]
    if first_one is None or any(a is None or a.dtype != first_one.dtype or a.shape != first_one.shape for a in arrays):
        return as_array(values)
    return np.stack([array for array in arrays if array is not None])


def _row(values: Any, structure: Structure, index: int) -> Any:  # noqa: ANN401
    parts = _part_structures(values, structure)
    if parts is None:
        return None if values is None else values[index]
    found = {key: _row(values[key], part, index) for key, part in parts.items()}
    return found if isinstance(values, Mapping) else tuple(found.values())


def _picked(values: Any, structure: Structure, chosen: NDArray[np.int64]) -> Any:  # noqa: ANN401
    parts = _part_structures(values, structure)
    if parts is None:
        return values[chosen] if isinstance(values, np.ndarray) else [values[i] for i in chosen.tolist()]
    found = {key: _picked(values[key], part, chosen) for key, part in parts.items()}
    return found if isinstance(values, Mapping) else tuple(found.values())


def first(rows: Any) -> Any:  # noqa: ANN401
    """Return the value of the first environment of arrays with a row for each."""
    if isinstance(rows, Mapping):
        return {key: first(part) for key, part in rows.items()}
    if isinstance(rows, tuple):
        return tuple(first(part) for part in rows)
    return None if rows is None else np.asarray(rows[0])


# --- copying ----------------------------------------------------------------------------------------------------


def _copy_nothing(values: Any, _count: int) -> bytes | None:  # noqa: ANN401
    return b"" if values is None else None


def copier(rows: Any, layout: Layout) -> Copier:  # noqa: ANN401
    """Return what copies values like `rows`: arrays of n rows, or dicts and tuples of them, in this layout of a row."""
    if rows is None:
        return _copy_nothing
    if isinstance(rows, np.ndarray):
        return _array_copier(rows.dtype, rows.shape[1:], recorded=layout.recorded)
    if layout.recorded:
        return _struct_copier(rows, tree.parse(layout.dtype[len(STRUCT) :]))
    node = tree.parse(layout.dtype[len(OMITTED + STRUCT) :])
    return _struct_copier(rows, tree.without(node, range(len(tree.leaves(node)))))


def _array_copier(dtype: np.dtype[Any], shape: tuple[int, ...], *, recorded: bool) -> Copier:
    array = np.ndarray

    def copy(values: Any, count: int) -> bytes | None:  # noqa: ANN401
        if type(values) is not array or values.dtype is not dtype or values.shape[1:] != shape or len(values) != count:
            return None
        raw: bytes = values.tobytes() if recorded else b""
        return raw

    return copy


def _struct_copier(rows: Any, node: Node) -> Copier:  # noqa: ANN401
    find = _finder(rows)
    examples: list[NDArray[Any]] = []
    find(rows, examples)
    kinds = [(array.dtype, array.shape[1:]) for array in examples]
    widths = [leaf.width for leaf in tree.leaves(node)]
    fields = [(i, f"f{i}", np.dtype((np.void, width))) for i, width in enumerate(widths) if width]
    ends = np.cumsum([0, *widths]).tolist()
    table = np.dtype(
        {
            "names": [name for _, name, _ in fields],
            "formats": [field for _, _, field in fields],
            "offsets": [ends[i] for i, _, _ in fields],
            "itemsize": max(ends[-1], 1),
        }
    )

    def copy(values: Any, count: int) -> bytes | None:  # noqa: ANN401
        found: list[NDArray[Any]] = []
        if not find(values, found):
            return None
        for array, (dtype, shape) in zip(found, kinds, strict=True):
            if array.dtype is not dtype or array.shape[1:] != shape or len(array) != count:
                return None
        if not fields:
            return b""
        out = np.empty(count, table)
        for i, name, field in fields:
            out[name] = np.ascontiguousarray(found[i]).reshape(count, -1).view(field)[:, 0]
        return out.tobytes()

    return copy


def _finder(example: Any) -> Callable[[Any, list[NDArray[Any]]], bool]:  # noqa: ANN401
    """Return what appends the arrays of a dict or tuple to a list, in order; False if it is not like the example."""
    if isinstance(example, np.ndarray):
        return _find_array
    kind, keys = type(example), tuple(example) if isinstance(example, Mapping) else None
    parts = [(key, _finder(example[key])) for key in (range(len(example)) if keys is None else keys)]

    def find(values: Any, found: list[NDArray[Any]]) -> bool:  # noqa: ANN401
        if type(values) is not kind or len(values) != len(parts):
            return False
        try:
            return all(find_part(values[key], found) for key, find_part in parts)
        except KeyError:
            return False

    return find


def _find_array(value: Any, found: list[NDArray[Any]]) -> bool:  # noqa: ANN401
    if type(value) is not np.ndarray:
        return False
    found.append(value)
    return True

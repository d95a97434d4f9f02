"""Defines StepRows: any steps whose values have one layout, as arrays with a row a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from runbus.kafka.model import StreamId
from runbus.reader.steps import Steps
from runbus.reader.values import Column, column_of
from runbus.schemas.layout import NONE, VARIABLE, Layout

Rows = NDArray[np.int64] | slice
Numbers = tuple[float, ...]
T = TypeVar("T")
#: columns that every step has
_COLUMNS = ("stream", "seq", "env", "episode", "step", "ts", "reward", "terminated", "truncated")
_VALUES = ("action", "observation", "has_action", "has_observation")
#: texts that only some steps have
TEXTS = ("kind", "status", "stop", "info", "seed")
#: numbers that only some streams have; -1 = none
MARKS = ("tick", "parent")


@dataclass(frozen=True, slots=True)
class StepRows:
    """Some steps. Arrays have the shape (n,) or (n, *shape); steps of several streams may be mixed.

    Attributes:
        streams: whose steps; `stream` (n,) is an index in it.
        seq, env, episode, step, ts, reward, terminated, truncated: as `runbus.reader.Steps` has them.
        action, observation: likewise: an array, a dict or tuple of arrays, a list with one value a step (text, JSON
            data, ragged arrays), or None.
        has_action, has_observation: (n,) of bool, where they mean something: not on a reset, not where absent.
        logged: name -> (n,) of float64: the last number that was logged for the step under that name; NaN = none.
        several: name -> a tuple a step: all numbers of it, in their order, where `logged` cannot say it: of several
            that were logged for one step it has the last, and a NaN that was logged is none; else ().
        texts: `kind`, `status`, `stop`, `info`, `seed` (decimal digits), and `label.<name>`: a text a step, "" = none;
            what no step has is not there.
        marks: `tick`, `parent`: (n,) of int64, -1 = none; likewise.
        layouts: of action and observation.
    """

    streams: tuple[StreamId, ...]
    stream: NDArray[np.int32]
    seq: NDArray[np.int64]
    env: NDArray[np.int32]
    episode: NDArray[np.int64]
    step: NDArray[np.int32]
    ts: NDArray[np.int64]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    action: Column
    observation: Column
    has_action: NDArray[np.bool_]
    has_observation: NDArray[np.bool_]
    logged: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    several: Mapping[str, Sequence[Numbers]] = field(default_factory=dict)
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    marks: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    layouts: tuple[Layout, Layout] = (Layout(), Layout())

    def __len__(self) -> int:
        return len(self.seq)

    def take(self, rows: Rows) -> StepRows:
        """Return some of the rows, by index or slice; slices of arrays are views."""
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in _COLUMNS}
        columns |= {name: _taken(getattr(self, name), rows) for name in _VALUES}
        logged = {name: numbers[rows] for name, numbers in self.logged.items()}
        return StepRows(
            streams=self.streams,
            **columns,
            logged=logged,
            several=_some(self.several, rows),
            texts=_some(self.texts, rows),
            marks={name: numbers[rows] for name, numbers in self.marks.items()},
            layouts=self.layouts,
        )

    def filled(self, layouts: tuple[Layout, Layout]) -> StepRows:
        """Return the same rows with these layouts, which are common to theirs and others.

        A column that has no value yet gets zeros, or empty values; arrays of one shape are a list.
        """
        if self.layouts == layouts:
            return self
        action, observation = (
            _as(theirs, mine, column, len(self))
            for mine, theirs, column in zip(self.layouts, layouts, (self.action, self.observation), strict=True)
        )
        return replace(self, action=action, observation=observation, layouts=layouts)

    @classmethod
    def of(cls, steps: Steps) -> StepRows:
        """Return the steps of an event of a reader."""
        count = len(steps)
        logged, several = {}, {}
        for name, (rows, numbers) in steps.logged.items():
            logged[name] = np.full(count, np.nan)
            logged[name][rows] = numbers  # of several the last, as they are in order
            if found := _several(rows, numbers, count):
                several[name] = found
        texts = {name: list(words) for name in TEXTS if name != "seed" and (words := getattr(steps, name))}
        if seeds := steps.seeds:
            texts["seed"] = [str(seeds.get(row, "")) for row in range(count)]
        for name, labels in steps.labels.items():
            texts[f"label.{name}"] = [labels.get(row, "") for row in range(count)]
        return cls(
            streams=(steps.stream,),
            stream=np.zeros(count, np.int32),
            seq=steps.seq,
            env=steps.env,
            episode=steps.episode,
            step=steps.step,
            ts=steps.ts,
            reward=steps.reward,
            terminated=steps.terminated,
            truncated=steps.truncated,
            action=steps.action,
            observation=steps.observation,
            has_action=steps.has_action,
            has_observation=steps.has_observation,
            logged=logged,
            several=several,
            texts=texts,
            marks={name: numbers for name in MARKS if (numbers := getattr(steps.columns, name)) is not None},
            layouts=(steps.action_layout, steps.observation_layout),
        )


Layouts = tuple[Layout, Layout]


def common(one: Layouts, other: Layouts) -> Layouts | None:
    """Return the layouts that rows of both can have together, or None.

    Rows without any value fit all: a reset that was sent alone says nothing of the actions to come. Arrays of one shape
    fit those of changing length: a stream has the one layout until the first array of another length comes.
    """
    found = []
    for mine, theirs in zip(one, other, strict=True):
        both = _common(mine, theirs)
        if both is None:
            return None
        found.append(both)
    return found[0], found[1]


def _common(one: Layout, other: Layout) -> Layout | None:
    if NONE in (one, other):
        return other if one == NONE else one
    if one == other:
        return one
    ragged = next((layout for layout in (one, other) if layout.item_bytes), None)
    same_items = one.dtype == other.dtype and one.shape[1:] == other.shape[1:] and one.shape and other.shape
    return ragged if same_items else None


def joined(parts: Sequence[StepRows]) -> StepRows:
    """Return parts whose layouts have a common one, one behind the other; at least one."""
    if len(parts) == 1:
        return parts[0]
    layouts = parts[0].layouts
    for part in parts[1:]:
        both = common(layouts, part.layouts)
        assert both is not None
        layouts = both
    parts = [part.filled(layouts) for part in parts]
    streams = {stream: number for number, stream in enumerate(dict.fromkeys(s for part in parts for s in part.streams))}
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS[1:]}
    columns |= {name: _joined([getattr(part, name) for part in parts]) for name in _VALUES}
    columns["stream"] = np.concatenate([_renumbered(part, streams) for part in parts])
    counts = [len(part) for part in parts]
    logged = {
        name: np.concatenate([part.logged.get(name, np.full(n, np.nan)) for part, n in zip(parts, counts, strict=True)])
        for name in dict.fromkeys(name for part in parts for name in part.logged)
    }
    return StepRows(
        tuple(streams),
        **columns,
        logged=logged,
        several=_joined_some([part.several for part in parts], counts, ()),
        texts=_joined_some([part.texts for part in parts], counts, ""),
        marks={
            name: np.concatenate([p.marks.get(name, np.full(n, -1)) for p, n in zip(parts, counts, strict=True)])
            for name in dict.fromkeys(name for part in parts for name in part.marks)
        },
        layouts=layouts,
    )


def _several(rows: NDArray[np.uint32], numbers: NDArray[np.float64], count: int) -> list[Numbers]:
    """Return all numbers of each row that has several or a NaN; nothing if none has."""
    unlike = np.bincount(rows, minlength=count) > 1
    unlike[rows[np.isnan(numbers)]] = True
    if not unlike.any():
        return []
    return [tuple(numbers[rows == row].tolist()) if unlike[row] else () for row in range(count)]


def _some(named: Mapping[str, Sequence[T]], rows: Rows) -> dict[str, Sequence[T]]:
    """Return some rows of what only some have; a name that no row has any more is left out."""
    taken = {name: _taken(values, rows) for name, values in named.items()}
    return {name: values for name, values in taken.items() if any(values)}


def _joined_some(parts: Sequence[Mapping[str, Sequence[T]]], counts: Sequence[int], none: T) -> dict[str, list[T]]:
    return {
        name: [value for part, n in zip(parts, counts, strict=True) for value in part.get(name, [none] * n)]
        for name in dict.fromkeys(name for part in parts for name in part)
    }


def _as(layout: Layout, mine: Layout, column: Column, count: int) -> Column:
    """Return a column as one of another layout that fits it."""
    if mine == layout:
        return column
    return list(column) if mine != NONE else _empty(layout, count)


def _empty(layout: Layout, count: int) -> Column:
    return column_of(layout, bytes(4 * count if layout.width == VARIABLE else layout.width * count), count)


def _renumbered(part: StepRows, streams: Mapping[StreamId, int]) -> NDArray[np.int32]:
    numbers = np.array([streams[stream] for stream in part.streams], np.int32)
    return numbers[part.stream]


def _taken(column: Column, rows: Rows) -> Column:
    if column is None:
        return None
    if isinstance(column, np.ndarray):
        return column[rows]
    if isinstance(column, Mapping):
        return {key: _taken(part, rows) for key, part in column.items()}
    if isinstance(column, tuple):
        return tuple(_taken(part, rows) for part in column)
    return column[rows] if isinstance(rows, slice) else [column[row] for row in rows.tolist()]


def _joined(columns: Sequence[Column]) -> Column:
    first = columns[0]
    if first is None:
        return None
    if isinstance(first, np.ndarray):
        return np.concatenate(columns)
    if isinstance(first, Mapping):
        return {key: _joined([column[key] for column in columns]) for key in first}
    if isinstance(first, tuple):
        return tuple(_joined([column[i] for column in columns]) for i in range(len(first)))
    return [value for column in columns for value in column]

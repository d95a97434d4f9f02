"""Defines StepRows: any steps whose values have one layout, as arrays with a row a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.kafka.model import StreamId
from runbus.reader.steps import Steps
from runbus.reader.values import Column, column_of
from runbus.schemas.layout import NONE, VARIABLE, Layout

Rows = NDArray[np.int64] | slice
#: columns that every step has
_COLUMNS = ("stream", "seq", "env", "episode", "step", "ts", "reward", "terminated", "truncated")
_VALUES = ("action", "observation", "has_action", "has_observation")
#: texts that only some steps have
TEXTS = ("kind", "status", "stop", "info")


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
        texts: `kind`, `status`, `stop`, `info`, and `label.<name>`: a text a step, "" = none; what no step has is not
            there.
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
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    layouts: tuple[Layout, Layout] = (Layout(), Layout())

    def __len__(self) -> int:
        return len(self.seq)

    def take(self, rows: Rows) -> StepRows:
        """Return some of the rows, by index or slice; slices of arrays are views."""
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in _COLUMNS}
        columns |= {name: _taken(getattr(self, name), rows) for name in _VALUES}
        logged = {name: numbers[rows] for name, numbers in self.logged.items()}
        texts = {name: _taken(words, rows) for name, words in self.texts.items()}
        return StepRows(
            streams=self.streams,
            **columns,
            logged=logged,
            texts={name: words for name, words in texts.items() if any(words)},
            layouts=self.layouts,
        )

    def filled(self, layouts: tuple[Layout, Layout]) -> StepRows:
        """Return the same rows with these layouts: a column that has no value yet gets zeros, or empty values."""
        if self.layouts == layouts:
            return self
        empty = [_empty(layout, len(self)) for layout in layouts]
        action, observation = (
            new if mine == NONE else column
            for mine, column, new in zip(self.layouts, (self.action, self.observation), empty, strict=True)
        )
        return replace(self, action=action, observation=observation, layouts=layouts)

    @classmethod
    def of(cls, steps: Steps) -> StepRows:
        """Return the steps of an event of a reader."""
        count = len(steps)
        logged = {}
        for name, (rows, numbers) in steps.logged.items():
            logged[name] = np.full(count, np.nan)
            logged[name][rows] = numbers  # of several the last, as they are in order
        texts = {name: list(words) for name in TEXTS if (words := getattr(steps, name))}
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
            texts=texts,
            layouts=(steps.action_layout, steps.observation_layout),
        )


Layouts = tuple[Layout, Layout]


def common(one: Layouts, other: Layouts) -> Layouts | None:
    """Return the layouts that rows of both can have together, or None.

    Rows without any value fit all: a reset that was sent alone says nothing of the actions to come.
    """
    found = []
    for mine, theirs in zip(one, other, strict=True):
        if mine != theirs and NONE not in (mine, theirs):
            return None
        found.append(theirs if mine == NONE else mine)
    return found[0], found[1]


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
    texts = {
        name: [word for part, n in zip(parts, counts, strict=True) for word in part.texts.get(name, [""] * n)]
        for name in dict.fromkeys(name for part in parts for name in part.texts)
    }
    return StepRows(tuple(streams), **columns, logged=logged, texts=texts, layouts=layouts)


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

"""Reads the steps of a run from ClickHouse, block by block.

What every step has comes as rows of one fixed size (RowBinary), which numpy reads as they are; actions and
observations come as their bytes one behind another (RawBLOB). What few steps have is asked for only where there is any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runbus.clickhouse.answers import Question, answer
from runbus.clickhouse.asking import asking
from runbus.clickhouse.client import connect
from runbus.clickhouse.queries import QueryName, query
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.model import StreamId
from runbus.reader.values import Column, column_of
from runbus.replay.errors import NoSuchRun, RunChanged
from runbus.replay.rows import MARKS, TEXTS, StepRows
from runbus.replay.store import BLOCK_BYTES, BLOCK_STEPS, RunBlock
from runbus.schemas.layout import NONE, OMITTED, STRUCT, VARIABLE, Layout
from runbus.schemas.leaf import leaf_width
from runbus.schemas.tree import parse

_COMMON = [
    ("seq", "<i8"),
    ("env", "<i4"),
    ("episode", "<i8"),
    ("step", "<i4"),
    ("ts", "<i8"),
    ("reward", "<f8"),
    ("terminated", "?"),
    ("truncated", "?"),
]
#: One row of `replay_marks.sql`.
_MARKS = np.dtype([(name, "<i8") for name in MARKS])
_THERE = [("action_there", "?"), ("observation_there", "?")]
#: One row of `replay_rows.sql`.
_ROW = np.dtype([*_COMMON, ("layout", "<u4"), ("action_bytes", "<u4"), ("observation_bytes", "<u4"), *_THERE])


@dataclass(frozen=True, slots=True)
class _Stream:
    """One stream as it is stored.

    Attributes:
        id: its run, agent and attempt.
        last: seq of its last row.
        size: seq of a block.
        words: whether a row has a text, a label, a seed or a logged number.
        marks: whether a row has a tick or a parent.
    """

    id: StreamId
    last: int
    size: int
    words: bool
    marks: bool

    @property
    def where(self) -> dict[str, object]:
        """It as the queries name it."""
        return {"run_id": self.id.run_id, "agent_id": self.id.agent_id, "attempt": self.id.attempt, "last": self.last}


class _Layouts(NamedTuple):
    """The layouts of a stream, and the key of each."""

    keys: list[str]
    pairs: list[tuple[Layout, Layout]]

    @property
    def widths(self) -> tuple[int, int] | None:
        """Bytes of an action and of an observation, if all have the same number of them."""
        if len(self.pairs) != 1 or VARIABLE in (widths := tuple(layout.width for layout in self.pairs[0])):
            return None
        return widths[0], widths[1]


class TableStore:
    """The steps of one run in ClickHouse; see store.RunStore. A lane is a stream.

    Args:
        settings: of ClickHouse.
        run: name of the run.
        agent: only this one; None = all.
        bounds: of another store, to open the same; None = as the tables are now.

    Raises:
        NoSuchRun: it has no row.
        StoreError: ClickHouse refuses, or does not answer.
    """

    def __init__(
        self, settings: ClickHouseSettings, run: str, agent: str | None, bounds: Sequence[Sequence[Any]] | None
    ) -> None:
        self._client = connect(settings)
        self._streams = self._read_streams(run, agent, bounds)
        if not self._streams:
            self.close()
            raise NoSuchRun(f"no step of run {run!r} is stored: `runbus run ls` lists the runs that are")
        self.blocks = [b for number, stream in enumerate(self._streams) for b in self._blocks(number, stream)]
        self._layouts: dict[int, _Layouts] = {}

    @property
    def bounds(self) -> list[list[Any]]:
        """See store.RunStore."""
        return [[stream.id.agent_id, stream.id.attempt, stream.last, stream.size] for stream in self._streams]

    def read(self, block: RunBlock) -> list[StepRows]:
        """Return the steps of a block; see store.RunStore."""
        stream = self._streams[block.lane]
        layouts = self._layouts_of(block.lane)
        where = {**stream.where, "first": block.first, "last": block.last}
        if layouts.widths is not None:
            return [self._fixed(stream, block, layouts.pairs[0], layouts.widths)]
        rows = np.frombuffer(self._bytes("replay_rows", "RowBinary", {**where, "layouts": layouts.keys}), _ROW)
        _check_rows(stream, block, len(rows))
        actions = _Blob(self._bytes("replay_actions", "RawBLOB", where), rows["action_bytes"])
        observations = _Blob(self._bytes("replay_observations", "RawBLOB", where), rows["observation_bytes"])
        some = self._some(stream, rows, where)
        found = []
        for part in _stretches(rows["layout"]):
            action, observation = layouts.pairs[int(rows["layout"][part.start]) - 1]
            columns = (actions.column(action, part), observations.column(observation, part))
            found.append(_step_rows(stream.id, rows[part], (action, observation), columns, some, part))
        return found

    def _fixed(
        self, stream: _Stream, block: RunBlock, layouts: tuple[Layout, Layout], widths: tuple[int, int]
    ) -> StepRows:
        """Return the steps of a block whose rows all have one size."""
        where = {**stream.where, "first": block.first, "last": block.last}
        action, observation = (max(1, width) for width in widths)  # no column has no bytes
        row = np.dtype([*_COMMON, *_THERE, ("action", f"V{action}"), ("observation", f"V{observation}")])
        sized = {**where, "action_width": action, "observation_width": observation}
        rows = np.frombuffer(self._bytes("replay_fixed_rows", "RowBinary", sized), row)
        _check_rows(stream, block, len(rows))
        columns = [
            column_of(layout, rows[name].tobytes(), len(rows))
            for name, layout in zip(("action", "observation"), layouts, strict=True)
        ]
        some = self._some(stream, rows, where)
        return _step_rows(stream.id, rows, layouts, (columns[0], columns[1]), some, slice(0, len(rows)))

    def _some(self, stream: _Stream, rows: NDArray[Any], where: Mapping[str, Any]) -> _Some:
        """Return what only some rows of a block have."""
        some = _Some(len(rows))
        if stream.words:
            some.take(rows["seq"], self._rows("replay_words", where))
        if stream.marks:
            marks = np.frombuffer(self._bytes("replay_marks", "RowBinary", where), _MARKS)
            some.marks = {name: marks[name] for name in MARKS if (marks[name] >= 0).any()}
        return some

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def _read_streams(self, run: str, agent: str | None, bounds: Sequence[Sequence[Any]] | None) -> list[_Stream]:
        stored = self._rows("replay_streams", {"run_id": run, "agent_id": agent or ""})
        known = None if bounds is None else {(name, attempt): (last, size) for name, attempt, last, size in bounds}
        found = []
        for agent_id, attempt, last, row_bytes, words, marks in stored:
            size = max(1, min(BLOCK_STEPS, int(BLOCK_BYTES / max(1.0, row_bytes))))
            if known is not None:
                if (agent_id, attempt) not in known:  # it came later
                    continue
                last, size = known[agent_id, attempt]  # noqa: PLW2901 - as it was
            found.append(_Stream(StreamId(run, agent_id, attempt), last, size, bool(words), bool(marks)))
        return found

    def _blocks(self, number: int, stream: _Stream) -> list[RunBlock]:
        size = stream.size
        stored = self._rows("replay_blocks", {**stream.where, "size": size})
        return [RunBlock(number, n * size, min((n + 1) * size - 1, stream.last), rows) for n, rows in stored]

    def _layouts_of(self, lane: int) -> _Layouts:
        known = self._layouts.get(lane)
        if known is None:
            found = self._rows("replay_layouts", self._streams[lane].where)
            pairs = [(_layout(*row[:3], *row[7:9]), _layout(*row[3:6], *row[9:11])) for row in found]
            known = self._layouts[lane] = _Layouts([row[6] for row in found], pairs)
        return known

    def _rows(self, name: QueryName, where: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        with asking():
            return self._client.query(query(name), parameters=dict(where), settings={"readonly": 1}).result_rows

    def _bytes(self, name: QueryName, format_: str, where: Mapping[str, Any]) -> bytes:
        with answer(self._client, Question(query(name), format_, where)) as found:
            return b"".join(found.pieces())


class _Blob:
    """The values of a block, one behind another, and how many bytes each has."""

    def __init__(self, raw: bytes, lengths: NDArray[np.uint32]) -> None:
        self._raw = raw
        self._lengths = lengths
        self._starts = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))

    def column(self, layout: Layout, part: slice) -> Column:
        """Return some of them as the column of a layout; where a row has none its array is zeros, its text empty."""
        if not layout.recorded:
            return None
        lengths, count = self._lengths[part], part.stop - part.start
        raw = self._raw[int(self._starts[part.start]) : int(self._starts[part.stop])]
        if layout.width == VARIABLE:
            return column_of(layout, lengths.astype("<u4").tobytes() + raw, count)
        if len(raw) != layout.width * count:
            whole = np.zeros((count, layout.width), np.uint8)
            whole[lengths > 0] = np.frombuffer(raw, np.uint8).reshape(-1, layout.width)
            raw = whole.tobytes()
        return column_of(layout, raw, count)


def _layout(dtype: str, dimensions: int, rest: Sequence[int], least: int, most: int) -> Layout:
    """Return a layout as the rows show it."""
    if not dtype:
        return NONE
    shape = () if not dimensions else (most if least == most else -1, *rest)
    if dtype.startswith(OMITTED):
        return Layout(dtype, shape, 0)
    if dtype.startswith(STRUCT):
        return Layout(dtype, (), parse(dtype[len(STRUCT) :]).width)
    return Layout(dtype, shape, leaf_width(dtype, shape))


def _stretches(numbers: NDArray[np.uint32]) -> list[slice]:
    """Return the stretches of rows that have the same number."""
    edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    return [slice(start, stop) for start, stop in pairwise(edges) if stop > start]


class _Some:
    """What only some rows of a block have, by name, with a value for every row: see StepRows."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.logged: dict[str, NDArray[np.float64]] = {}
        self.several: dict[str, list[tuple[float, ...]]] = {}
        self.texts: dict[str, list[str]] = {}
        self.marks: dict[str, NDArray[np.int64]] = {}

    def take(self, seqs: NDArray[np.int64], found: Sequence[Sequence[Any]]) -> None:
        """Take rows of `replay_words.sql`."""
        for seq, *words, seed, labels, extras, repeated in found:
            row = int(np.searchsorted(seqs, seq))
            named = dict(zip(TEXTS, [*words, seed and str(int(seed, 0))], strict=True))
            named |= {f"label.{name}": text for name, text in labels.items()}
            for name, text in named.items():
                if text:
                    self.texts.setdefault(name, [""] * self._count)[row] = text
            for name, number in extras.items():
                self.logged.setdefault(name, np.full(self._count, np.nan))[row] = number
                if name in repeated or np.isnan(number):
                    all_ = tuple(repeated.get(name, (number,)))
                    self.several.setdefault(name, [()] * self._count)[row] = all_

    def of(self, part: slice) -> _Some:
        """Return what some of the rows have."""
        some = _Some(part.stop - part.start)
        some.several = {name: values[part] for name, values in self.several.items() if any(values[part])}
        some.logged = {
            name: numbers[part]
            for name, numbers in self.logged.items()
            if name in some.several or not np.isnan(numbers[part]).all()
        }
        some.texts = {name: lines[part] for name, lines in self.texts.items() if any(lines[part])}
        some.marks = {name: numbers[part] for name, numbers in self.marks.items()}
        return some


def _check_rows(stream: _Stream, block: RunBlock, found: int) -> None:
    if found != block.steps:
        raise RunChanged(
            f"{stream.id}: {block.steps} steps were stored in seq {block.first} to {block.last}, and {found} are there "
            "now: begin without the state"
        )


def _step_rows(
    stream: StreamId,
    rows: NDArray[Any],
    layouts: tuple[Layout, Layout],
    columns: tuple[Column, Column],
    some: _Some,
    part: slice,
) -> StepRows:
    mine = some.of(part)
    return StepRows(
        streams=(stream,),
        stream=np.zeros(len(rows), np.int32),
        **{name: rows[name] for name, _ in _COMMON},
        action=columns[0],
        observation=columns[1],
        has_action=rows["action_there"] & (rows["step"] != 0) & layouts[0].recorded,
        has_observation=rows["observation_there"] & layouts[1].recorded,
        logged=mine.logged,
        several=mine.several,
        texts=mine.texts,
        marks=mine.marks,
        layouts=layouts,
    )

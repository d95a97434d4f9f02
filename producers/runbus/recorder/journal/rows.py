"""Writes rows of a recorder's batch as the data of a ROWS record, and makes batches of them again.

A record has the rows that were not written before. The first one of a batch names the layout of its observations, the
first one with an action that of the actions; the others belong to the batch before them. So the batches that come back
are those that the process closed, with the rows of its open one.

| part | bytes |
|---|---|
| head | u8 what follows (1 layout of observations, so a new batch; 2 of actions; 4 blocks, else single rows; 8 notes) |
| | u32 index of the first row in its batch, u32 rows |
| layouts | u32 length, JSON: `{"observation": [dtype, shape, width], "action": ..., "episodes": begun so far}` |
| rows | u32 length of each action, of each observation; FACTS (columns.py) of each row; the actions, the observations |
| blocks | u32 number; of each: u32 rows, i64 time, i64 tick, 8 u32 lengths; its columns in the order of Block |
| notes | JSON, by index in the record |
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator, Mapping
from itertools import accumulate
from types import MappingProxyType
from typing import Any

import numpy as np

from runbus.config.errors import InvalidValue
from runbus.recorder.columns import FACTS, Block
from runbus.recorder.counts import StreamCounts
from runbus.recorder.events import StepsRecorded
from runbus.recorder.row_words import RowWords
from runbus.schemas.batch import NO_PARENT
from runbus.schemas.layout import Layout, check_layout

_HEAD = struct.Struct("<BII")
#: a record of one row and nothing else, up to its FACTS: its own head, that of its data, two lengths
ONE_ROW = struct.Struct("<4sIBQBIIII")
ONE_ROW_BYTES = 17 + FACTS.size  # of its data, beside action and observation
_LENGTH = struct.Struct("<I")
_BLOCK = struct.Struct("<Iqq8I")
_OBSERVATION, _ACTION, _BLOCKS, _NOTES = 1, 2, 4, 8
_COLUMNS = Block._fields[3:]
_FACTS = FACTS.size


class BadRows(InvalidValue):
    """A record of rows cannot be read: a newer version wrote it, or what it needs is lost."""


def rows_since(batch: StepsRecorded, start: int, *, action_said: bool = False, episodes: int = 0) -> bytes:
    """Return the data of a record with the rows of `batch` from index `start` on.

    Args:
        start: rows before it were written; of a batch of blocks, where one of them begins.
        action_said: a record of this batch has the layout of its actions.
        episodes: of the stream, begun so far.
    """
    what = 0 if start else _OBSERVATION
    if batch.action is not None and not action_said:
        what |= _ACTION
    noted = bool(
        batch.seeds
        or batch.infos
        or batch.extras
        or batch.logged
        or batch.words.size
        or batch.words.absent
        or batch.extra_columns
    )
    count = batch.count - start
    notes = _notes(batch, start) if noted else {}
    what |= (_BLOCKS if batch.blocks else 0) | (_NOTES if notes else 0)
    parts: list[bytes | bytearray] = [_HEAD.pack(what, start, count)]
    if what & (_OBSERVATION | _ACTION):
        layouts: dict[str, object] = {}
        if what & _OBSERVATION:
            layouts = {"observation": _layout(batch.observation), "episodes": episodes}
        if what & _ACTION and batch.action is not None:
            layouts["action"] = _layout(batch.action)
        parts += _sized(json.dumps(layouts).encode())
    parts += _blocks(batch, start) if batch.blocks else _single_rows(batch, start, count)
    if notes:
        parts.append(json.dumps(notes, default=_python_number).encode())
    return b"".join(parts)


def _layout(layout: Layout) -> list[object]:
    return [layout.dtype, list(layout.shape), layout.width]


def _sized(raw: bytes) -> list[bytes]:
    return [_LENGTH.pack(len(raw)), raw]


def _python_number(value: Any) -> Any:  # noqa: ANN401
    return value.item()  # numpy's, from a vector call


def _single_rows(batch: StepsRecorded, start: int, count: int) -> list[bytes | bytearray]:
    rows = batch.rows
    actions, observations = rows.actions[start:], rows.observations[start:]
    lengths = struct.pack(f"<{2 * count}I", *map(len, actions), *map(len, observations))
    return [lengths, rows.facts[start * _FACTS :], *actions, *observations]


def _blocks(batch: StepsRecorded, start: int) -> list[bytes]:
    begins = accumulate((block.size for block in batch.blocks), initial=0)
    blocks = [block for block, begin in zip(batch.blocks, begins, strict=False) if begin >= start]
    parts = [_LENGTH.pack(len(blocks))]
    for block in blocks:
        columns = block[3:]
        parts += [_BLOCK.pack(block.size, block.ts, block.tick, *map(len, columns)), *columns]
    return parts


def _notes(batch: StepsRecorded, start: int) -> dict[str, Any]:
    """Return what is said about the rows from `start` on; nothing of a kind that nothing is said of."""
    stop, said = batch.count, batch.words
    labels = {row: dict(texts) for row, texts in said.labels.items()}
    by_row: Mapping[str, Mapping[int, Any]] = {
        "seeds": batch.seeds,
        "infos": batch.infos,
        "absent": said.absent,
        "kind": said.kind,
        "status": said.status,
        "parent": said.parent,
        "stop": said.stop,
        "labels": labels,
    }
    found: dict[str, Any] = {name: _of_rows(rows, start, stop) for name, rows in by_row.items() if rows}
    found["extras"] = {name: of for name, rows in batch.extras.items() if (of := _of_rows(rows, start, stop))}
    found["logged"] = _logged(batch, start)
    found["columns"] = {
        name: [[first - start, values.tolist()] for first, values in parts if first >= start]
        for name, parts in batch.extra_columns.items()
    }
    return {name: value for name, value in found.items() if value}


def _of_rows(rows: Mapping[int, Any], start: int, stop: int) -> list[tuple[int, Any]]:
    if stop - start == 1:
        return [(0, rows[start])] if start in rows else []
    return [(row - start, value) for row, value in rows.items() if row >= start]


def _logged(batch: StepsRecorded, start: int) -> list[tuple[int, str, float]]:
    found = []
    for row, name, value in reversed(batch.logged):
        if row < start:
            break
        found.append((row - start, name, value))
    return found[::-1]


def part_of(batch: StepsRecorded, start: int, stop: int) -> StepsRecorded:
    """Return the rows [start, stop) of a batch as one of their own; the batch itself if these are all."""
    if (start, stop) == (0, batch.count):
        return batch
    part = StepsRecorded(batch.counts, batch.first_seq + start, batch.observation, batch.action)
    _Rows(rows_since(batch, 0)).add_to(part, start, stop)
    return part


class Batches:
    """Makes the batches of one stream of its ROWS records.

    Args:
        counts: of the stream.
        next_seq: rows below it are not wanted.

    Attributes:
        next_seq: one past the last row that was read.
        episodes: of the stream, begun up to there.
    """

    def __init__(self, counts: StreamCounts, next_seq: int = 0) -> None:
        self._counts = counts
        self.next_seq = next_seq
        self.episodes = 0
        self._open: StepsRecorded | None = None

    def take(self, seq: int, data: bytes) -> Iterator[StepsRecorded]:
        """Take a record; yield the batch that it ends by beginning another one.

        Raises:
            BadRows: its rows cannot be read; they are not counted as read.
        """
        try:
            found = _Rows(data)
            batch, ended = self._batch_for(seq, found)
            if batch is not None:
                batch.first_seq = batch.first_seq if batch.count else seq
                found.add_to(batch, max(0, self.next_seq - seq))
                self.next_seq = max(self.next_seq, seq + found.count)
            self.episodes = found.episodes or self.episodes + found.resets
        except BadRows:
            raise
        except Exception as error:  # whatever the bytes make of these structures
            raise BadRows(f"the rows from seq {seq} on cannot be read: {error!r}") from error
        if ended is not None:
            yield ended

    def _batch_for(self, seq: int, found: _Rows) -> tuple[StepsRecorded | None, StepsRecorded | None]:
        """Return the batch that takes these rows, None if it has them, and the batch that ends before them."""
        old = self._open
        if found.observation is None:
            if old is None:
                raise BadRows(f"the rows from seq {seq} on are of a batch whose beginning is not here")
            if found.action is not None:
                old.action = found.action
            if seq + found.count <= self.next_seq:
                return None, None
            if seq <= self.next_seq and bool(old.blocks) == bool(found.blocks):
                return old, None
            new = StepsRecorded(self._counts, observation=old.observation, action=old.action)  # some before are lost
        else:
            new = StepsRecorded(self._counts, observation=found.observation, action=found.action)
        self._open = new
        ended = old if old is not None and old.count else None
        return (None if seq + found.count <= self.next_seq else new), ended

    def rest(self) -> Iterator[StepsRecorded]:
        """Yield the batch that is open, if it has rows, and begin anew."""
        batch, self._open = self._open, None
        if batch is not None and batch.count:
            yield batch


class _Rows:
    """The data of one record, taken apart."""

    def __init__(self, data: bytes) -> None:
        what, _, self.count = _HEAD.unpack_from(data)
        if what > 15:
            raise BadRows("a newer RunBus wrote these rows: update runbus")
        self._data, self._at = data, _HEAD.size
        self.observation: Layout | None = None
        self.action: Layout | None = None
        self.episodes = 0
        if what & (_OBSERVATION | _ACTION):
            said = json.loads(self._bytes(self._number()))
            self.observation = _read_layout(said.get("observation"))
            self.action = _read_layout(said.get("action"))
            self.episodes = int(said.get("episodes", 0))
        self.blocks: list[Block] = []
        if what & _BLOCKS:
            self.blocks = [self._block() for _ in range(self._number())]
        else:
            lengths = struct.unpack(f"<{2 * self.count}I", self._bytes(8 * self.count))
            self._facts = self._bytes(self.count * _FACTS)
            self._values = [self._bytes(length) for length in lengths]
        self._notes: dict[str, Any] = json.loads(data[self._at :]) if what & _NOTES else {}
        if self.blocks and sum(block.size for block in self.blocks) != self.count:
            raise BadRows("its blocks have another number of rows than it says")

    def _bytes(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        if len(found) < count:
            raise BadRows("its data is too short")
        self._at += count
        return found

    def _number(self) -> int:
        (number,) = _LENGTH.unpack(self._bytes(4))
        return int(number)

    def _block(self) -> Block:
        size, ts, tick, *lengths = _BLOCK.unpack(self._bytes(_BLOCK.size))
        return Block(size, ts, tick, *(self._bytes(length) for length in lengths))

    @property
    def resets(self) -> int:
        """How many of its rows begin an episode with a reset."""
        if self.blocks:
            return sum(int(np.count_nonzero(np.frombuffer(block.step, "<i4") == 0)) for block in self.blocks)
        return sum(step == 0 for _, _, step, *_ in FACTS.iter_unpack(self._facts))

    def add_to(self, batch: StepsRecorded, start: int, stop: int | None = None) -> None:
        """Append the rows from index `start` up to `stop` to a batch."""
        stop = self.count if stop is None else stop
        first = batch.count - start
        if self.blocks:
            batch.blocks += _cut(self.blocks, start, stop)
        else:
            batch.rows.facts += self._facts[start * _FACTS : stop * _FACTS]
            batch.rows.actions += self._values[start:stop]
            batch.rows.observations += self._values[self.count + start : self.count + stop]
        kept = range(batch.count, first + stop)
        batch.count = kept.stop
        batch.nbytes += len(self._data)
        batch.closed_at = time.monotonic()
        if self._notes:
            self._note(batch, first, kept)

    def _note(self, batch: StepsRecorded, first: int, kept: range) -> None:
        notes, said = self._notes, batch.words

        def of(rows: list[list[Any]]) -> dict[int, Any]:
            return {first + row: value for row, value in rows if first + row in kept}

        batch.seeds |= of(notes.get("seeds", []))
        batch.infos |= of(notes.get("infos", []))
        said.absent |= of(notes.get("absent", []))
        words = {name: of(notes.get(name, [])) for name in ("kind", "status", "parent", "stop", "labels")}
        for row in sorted({row for rows in words.values() for row in rows}):
            kind, status = words["kind"].get(row, 0), words["status"].get(row, 0)
            labels = words["labels"].get(row, MappingProxyType({}))
            said.take(
                row, RowWords(kind, status, words["parent"].get(row, NO_PARENT), words["stop"].get(row, ""), labels)
            )
        for name, rows in notes.get("extras", {}).items():
            batch.extras.setdefault(name, {}).update(of(rows))
        batch.logged += [
            (first + row, name, value) for row, name, value in notes.get("logged", []) if first + row in kept
        ]
        for name, parts in notes.get("columns", {}).items():
            for row, numbers in parts:
                begin = first + row
                column = np.array(numbers, np.float64)[max(0, kept.start - begin) : max(0, kept.stop - begin)]
                if column.size:
                    batch.extra_columns.setdefault(name, []).append((max(begin, kept.start), column))


def _cut(blocks: list[Block], start: int, stop: int) -> list[Block]:
    """Return the rows [start, stop) of blocks."""
    found = []
    for block, begin in zip(blocks, accumulate((block.size for block in blocks), initial=0), strict=False):
        low, high = max(start - begin, 0), min(stop - begin, block.size)
        if low < high:
            found.append(block if high - low == block.size else block.slice(low, high))
    return found


def rows_of(data: bytes) -> int:
    """Return how many rows a record has, without reading them. Raises struct.error for what is none."""
    return int(_HEAD.unpack_from(data)[2])


def _read_layout(said: list[Any] | None) -> Layout | None:
    if said is None:
        return None
    dtype, shape, width = said
    layout = Layout(str(dtype), tuple(int(size) for size in shape), int(width))
    if layout.dtype:
        check_layout(layout)
    return layout

"""Writes episodes as one Parquet file: a row a step, in order, one episode behind the other (docs/export.md).

Row 0 of an episode is its reset, with the first observation and no action; row t has the t-th action, and the reward,
flags and observation that it led to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from runbus.export.arrow import Mask, arrow_array, arrow_type, has_omitted, node_of, raw_array, shape_array
from runbus.export.errors import CannotExport
from runbus.export.layouts import OneLayout, layout_document, layout_text
from runbus.export.sizes import held_bytes
from runbus.reader.values import Column
from runbus.replay import Episode, StepRows
from runbus.replay.rows import joined
from runbus.schemas.layout import Layout

#: Rows and bytes of values that are held before they are written.
GROUP_ROWS = 65_536
GROUP_BYTES = 32 * 1024 * 1024
#: Version of the columns and of the description.
FORMAT = 1

_VALUES = ("action", "observation")
_STRINGS = ("kind", "status", "stop", "info", "seed")
_MARKS = ("tick", "parent")
_LABEL = "label."
_LABELS = pa.map_(pa.string(), pa.string())
_LOGGED = pa.map_(pa.string(), pa.list_(pa.float64()))
_FACTS = [
    pa.field("run_id", pa.string()),
    pa.field("agent_id", pa.string()),
    pa.field("attempt", pa.int64()),
    pa.field("env", pa.int32()),
    pa.field("episode", pa.int64()),
    pa.field("complete", pa.bool_()),
    pa.field("seq", pa.int64()),
    pa.field("step", pa.int32()),
    pa.field("ts", pa.timestamp("us", "UTC")),
    pa.field("reward", pa.float64()),
    pa.field("terminated", pa.bool_()),
    pa.field("truncated", pa.bool_()),
    *(pa.field(name, pa.int64()) for name in _MARKS),
    *(pa.field(name, pa.string()) for name in _STRINGS),
    pa.field("labels", _LABELS),
    pa.field("logged", _LOGGED),
]


class ParquetEpisodes:
    """Writes one file; see api.EpisodeWriter.

    Args:
        path: of the file.
        raw: write each value as its bytes, dtype and shape, so that values of several layouts fit.
    """

    def __init__(self, path: Path, *, raw: bool = False) -> None:
        self._path = path
        self._raw = raw
        self._layout = OneLayout(
            "export them apart (--agent, --from, --to), or together as bytes with their dtypes (--values raw)"
        )
        self._held: list[Episode] = []
        self._held_rows = self._held_bytes = 0
        self._file: pq.ParquetWriter | None = None
        self._values: dict[str, Layout] = {}
        self._omitted: dict[tuple[str, Layout], None] = {}

    def write(self, episode: Episode) -> str:
        """Take an episode: all of them fit."""
        if not self._raw:
            self._layout.take(episode)
            self._check_written()
        for named in zip(_VALUES, episode.rows.layouts, strict=True):
            if has_omitted(named[1]):
                self._omitted[named] = None
        self._held.append(episode)
        self._held_rows += len(episode.rows)
        self._held_bytes += held_bytes(episode.rows)
        if self._held_rows >= GROUP_ROWS or self._held_bytes >= GROUP_BYTES:
            self._flush()
        return ""

    def close(self, description: Mapping[str, Any]) -> list[str]:
        """Write the rest and the description."""
        self._flush()
        assert self._file is not None
        layouts = {name: layout_document(layout) for name, layout in self._values.items()}
        about = {"format": FORMAT, **description, "values": "raw" if self._raw else layouts}
        self._file.add_key_value_metadata({"runbus": json.dumps(about, ensure_ascii=False)})
        self._file.close()
        return [f"parts of {name}s were not recorded: {layout_text(layout)}" for name, layout in self._omitted]

    def abandon(self) -> None:
        """Close the file."""
        if self._file is not None:
            with suppress(OSError, pa.ArrowException):
                self._file.close()

    def _check_written(self) -> None:
        """Raise CannotExport if values have come that the file has no column for: it was begun without any."""
        if self._file is not None and self._values != self._named_layouts():
            raise CannotExport(
                "the first episodes have no actions or no observations and later ones have: export them apart "
                "(--from, --to), or together as bytes with their dtypes (--values raw)"
            )

    def _named_layouts(self) -> dict[str, Layout]:
        return dict(zip(_VALUES, self._layout.found, strict=True))

    def _flush(self) -> None:
        """Write what is held as row groups."""
        if self._file is None:
            if not self._raw:
                self._values = self._named_layouts()
            self._file = pq.ParquetWriter(self._path, self._schema(), compression="zstd")
        if self._held:
            try:
                table = pa.Table.from_batches(self._batches(), self._file.schema)
                self._file.write_table(table, row_group_size=GROUP_ROWS)
            except (pa.ArrowException, ValueError) as error:  # text that is no Unicode
                raise CannotExport(
                    f"Parquet cannot hold these values ({error}): --values raw writes their bytes"
                ) from error
        self._held.clear()
        self._held_rows = self._held_bytes = 0

    def _schema(self) -> pa.Schema:
        fields = list(_FACTS)
        for name in _VALUES:
            if self._raw:
                fields += [
                    pa.field(name, pa.binary()),
                    pa.field(f"{name}_dtype", pa.string()),
                    pa.field(f"{name}_shape", pa.list_(pa.int32())),
                ]
            elif (kind := arrow_type(node_of(self._values[name]))) is not None:
                fields.append(pa.field(name, kind))
        return pa.schema(fields)

    def _batches(self) -> list[pa.RecordBatch]:
        assert self._file is not None
        if self._raw:
            return [self._batch(one.rows, np.full(len(one.rows), one.complete)) for one in self._held]
        rows = joined([episode.rows for episode in self._held]).filled(self._layout.found)
        complete = np.repeat([one.complete for one in self._held], [len(one.rows) for one in self._held])
        return [self._batch(rows, complete)]

    def _batch(self, rows: StepRows, complete: Mask) -> pa.RecordBatch:
        assert self._file is not None
        columns = _facts(rows, complete)
        given: list[tuple[str, Layout, Column, Mask]] = [
            ("action", rows.layouts[0], rows.action, rows.has_action),
            ("observation", rows.layouts[1], rows.observation, rows.has_observation),
        ]
        for name, layout, column, present in given:
            if self._raw:
                columns[name] = raw_array(layout, column, present)
                columns[f"{name}_dtype"] = pa.array([layout.dtype] * len(rows), pa.string())
                columns[f"{name}_shape"] = shape_array(layout, column, present)
            elif name in self._file.schema.names:
                columns[name] = arrow_array(node_of(layout), column, present)
        return pa.RecordBatch.from_pydict(columns, self._file.schema)


def _facts(rows: StepRows, complete: Mask) -> dict[str, pa.Array]:
    """Return every column but the values."""
    streams = rows.streams
    columns: dict[str, Any] = {
        "run_id": [streams[n].run_id for n in rows.stream.tolist()],
        "agent_id": [streams[n].agent_id for n in rows.stream.tolist()],
        "attempt": np.array([stream.attempt for stream in streams], np.int64)[rows.stream],
        "complete": complete,
        "ts": rows.ts,
        "labels": _labels(rows),
        "logged": _logged(rows),
    }
    for name in ("env", "episode", "seq", "step", "reward", "terminated", "truncated"):
        columns[name] = getattr(rows, name)
    for name in _STRINGS:
        words = rows.texts.get(name)
        columns[name] = [word or None for word in words] if words else [None] * len(rows)
    for name in _MARKS:
        marks = rows.marks.get(name, np.full(len(rows), -1))
        columns[name] = pa.array(marks, pa.int64(), mask=marks < 0)
    return {
        field.name: column if isinstance(column := columns[field.name], pa.Array) else pa.array(column, field.type)
        for field in _FACTS
    }


def _labels(rows: StepRows) -> pa.Array:
    named = {name.removeprefix(_LABEL): words for name, words in rows.texts.items() if name.startswith(_LABEL)}
    found = [[(name, words[row]) for name, words in named.items() if words[row]] for row in range(len(rows))]
    return pa.array(found, _LABELS)


def _logged(rows: StepRows) -> pa.Array:
    """Return all numbers of each row by name."""
    if rows.several:
        return pa.array([list(_numbers(rows, row)) for row in range(len(rows))], _LOGGED)
    names = list(rows.logged)
    numbers = np.stack([rows.logged[name] for name in names], 1) if names else np.zeros((len(rows), 0))
    there = ~np.isnan(numbers)
    found = numbers[there]
    keys = pa.array(names, pa.string()).take(pa.array(np.nonzero(there)[1]))
    items = pa.ListArray.from_arrays(pa.array(np.arange(len(found) + 1, dtype=np.int32)), pa.array(found))
    offsets = np.concatenate(([0], np.cumsum(there.sum(1)))).astype(np.int32)
    return pa.MapArray.from_arrays(pa.array(offsets), keys, items)


def _numbers(rows: StepRows, row: int) -> Iterator[tuple[str, list[float]]]:
    """Yield the names that have a number in a row, and all numbers of each."""
    for name, numbers in rows.logged.items():
        several = rows.several[name][row] if name in rows.several else ()
        if several or not np.isnan(numbers[row]):
            yield name, list(several or (numbers[row],))

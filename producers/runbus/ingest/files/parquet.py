"""Reads what `runbus export --format parquet` wrote, typed or raw, as a new recording: equal rows, bit for bit.

Rows come in the order in which they were recorded, stream by stream. A new recording is a new attempt, so `attempt` is
another one, and `seq` counts what is in the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from runbus.ingest.acts import Act, Begin, Defaults, Ended, Restarted, Started, Step, Who
from runbus.ingest.files.arrow_values import values_of
from runbus.ingest.formats import CannotIngest
from runbus.recorder.absent import ABSENT
from runbus.recorder.row_words import StepWords
from runbus.schemas.events import Outcome
from runbus.schemas.layout import Layout, decode_value, layout_named

FORMAT = 1
_BLOCK = 4096
_GROUPS = 4  # row groups that are held: episodes of one time lie beside each other
_WORDS = ("kind", "status", "stop")


class _Stream(NamedTuple):
    """The rows of one stream: their places in the file and their seqs, in order."""

    agent: str
    attempt: int
    rows: NDArray[np.int64]
    seqs: NDArray[np.int64]


def parquet_file(path: Path, defaults: Defaults) -> Iterator[Act]:
    """Yield the acts of a file. Raises CannotIngest."""
    try:
        file = pq.ParquetFile(path)
        about = json.loads((file.metadata.metadata or {})[b"runbus"])
    except (OSError, pa.ArrowException) as error:
        raise CannotIngest(f"{path} cannot be read as Parquet: {error}") from error
    except (KeyError, ValueError) as error:
        raise CannotIngest(f"{path} was not written by runbus export: it has no description of its own") from error
    if about.get("format") != FORMAT:
        raise CannotIngest(f"{path} is of format {about.get('format')}: this RunBus reads format {FORMAT}")
    run = defaults.run or f"{about['run_id']}-ingested"
    said = {(one["agent_id"], one["attempt"]): one for one in about["streams"]}
    rows = _Rows(file, about["values"])
    before = ""
    for stream in _streams(file):
        who = Who(run, stream.agent)
        if stream.agent == before:
            yield Restarted(who=who)
        before = stream.agent
        one = said.get((stream.agent, stream.attempt), {})
        yield _started(who, one, about["texts"])
        for at in range(0, len(stream.rows), _BLOCK):
            for row in rows.at(stream.rows[at : at + _BLOCK]):
                yield _act(who, row, stream.seqs)
        outcome = cast("Outcome", one.get("outcome") or "interrupted")
        yield Ended(run=run, agent=stream.agent, outcome=outcome)


def _streams(file: pq.ParquetFile) -> Iterator[_Stream]:
    keys = file.read(columns=["agent_id", "attempt", "seq"])
    agents = keys["agent_id"].combine_chunks().dictionary_encode()
    codes, attempts, seqs = agents.indices.to_numpy(), keys["attempt"].to_numpy(), keys["seq"].to_numpy()
    order = np.lexsort((seqs, attempts, codes))
    changed = np.flatnonzero((np.diff(codes[order]) != 0) | (np.diff(attempts[order]) != 0)) + 1
    for rows in np.split(order, changed):
        if len(rows):
            yield _Stream(agents.dictionary[codes[rows[0]]].as_py(), int(attempts[rows[0]]), rows, seqs[rows])


class _Rows:
    """Hands out rows of a file by their places, as dicts."""

    def __init__(self, file: pq.ParquetFile, values: Mapping[str, Any] | str) -> None:
        self._raw = isinstance(values, str)
        self._layouts = {} if isinstance(values, str) else {name: _layout(one) for name, one in values.items()}
        groups = range(file.metadata.num_row_groups)
        self._ends = np.cumsum([file.metadata.row_group(group).num_rows for group in groups])
        self._group = lru_cache(_GROUPS)(file.read_row_group)

    def at(self, places: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
        """Yield rows in the order of their places."""
        groups = np.searchsorted(self._ends, places, side="right")
        parts, order = [], []
        for group in np.unique(groups):
            mine = np.flatnonzero(groups == group)
            begin = int(self._ends[group - 1]) if group else 0
            parts.append(self._group(int(group)).take(pa.array(places[mine] - begin)))
            order.append(mine)
        table = pa.concat_tables(parts).take(pa.array(np.argsort(np.concatenate(order)))).combine_chunks()
        columns = {
            name: self._column(table, name) for name in table.column_names if not name.endswith(("_dtype", "_shape"))
        }
        for row in range(len(places)):
            yield {name: column[row] for name, column in columns.items()}

    def _column(self, table: pa.Table, name: str) -> Any:  # noqa: ANN401 - a value a row
        if name not in ("action", "observation"):
            column = table[name].cast(pa.int64()) if name == "ts" else table[name]
            return column.to_pylist()
        if self._raw:
            parts = (table[column].to_pylist() for column in (name, f"{name}_dtype", f"{name}_shape"))
            return [_raw_value(*one) for one in zip(*parts, strict=True)]
        return values_of(self._layouts[name], table[name].combine_chunks())


@lru_cache(64)
def _named(dtype: str, shape: tuple[int, ...]) -> Layout:
    return layout_named(dtype, shape)


def _layout(document: Mapping[str, Any]) -> Layout:
    return _named(document["dtype"], tuple(document["shape"]))


def _raw_value(value: bytes | None, dtype: str, shape: list[int] | None) -> Any:  # noqa: ANN401 - any value
    return ABSENT if value is None else decode_value(_named(dtype, tuple(shape or ())), value)


def _started(who: Who, one: Mapping[str, Any], texts: list[str]) -> Started:
    def text(name: str) -> str:
        return "" if one.get(name) is None else texts[one[name]]

    return Started(
        run=who.run,
        agent=who.agent,
        config=json.loads(text("config") or "null"),
        observation_space=text("observation_space"),
        action_space=text("action_space"),
        labels=one.get("labels", {}),
        tags=tuple(one.get("tags", ())),
    )


def _act(who: Who, row: Mapping[str, Any], seqs: NDArray[np.int64]) -> Begin | Step:
    shared: dict[str, Any] = {
        "who": who,
        "env": row["env"],
        "observation": row.get("observation"),
        "info": json.loads(row["info"]) if row["info"] else None,
        "logged": [(name, number) for name, numbers in row["logged"] for number in numbers],
        "tick": row["tick"],
        "at_us": row["ts"],
    }
    if row["step"] == 0:
        seed = int(row["seed"]) if row["seed"] else None
        return Begin(**shared, episode=row["episode"], seed=seed, labels=dict(row["labels"]))
    words: dict[str, Any] = {name: row[name] for name in _WORDS if row[name]}
    if row["parent"] is not None:
        at = int(np.searchsorted(seqs, row["parent"]))
        if at < len(seqs) and seqs[at] == row["parent"]:
            words["parent"] = at
    return Step(
        **shared,
        action=row.get("action"),
        reward=row["reward"],
        terminated=row["terminated"],
        truncated=row["truncated"],
        words=cast("StepWords", words),
    )

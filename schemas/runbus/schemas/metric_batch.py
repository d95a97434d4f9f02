"""Encodes and decodes a MetricBatch: consecutive metrics and scores of one source, one column per field.

`encode` and `decode` are exact inverses; both refuse a batch whose columns contradict its `count`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.config.errors import InvalidValue
from runbus.kafka.topics import check_id
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.batch import MAX_COUNT, MAX_LONG
from runbus.schemas.record import read_prefix, read_record, write_record

#: names that one batch may have
MAX_NAMES = 65_536
NO_POSITION = -(2**63)
#: an agent's attempt that is not said
NO_ATTEMPT = 0
#: an env, episode, step or seq that is not named
NONE = -1

#: what a value is, by the number in the column `kind`
METRIC, SCORE, ARTIFACT = 0, 1, 2
VALUE_KINDS: tuple[str, ...] = ("metric", "score", "artifact")


@dataclass(frozen=True, slots=True)
class MetricHeader:
    """The fields that a reader learns without decoding a column."""

    run_id: str
    source: str
    attempt: int
    first_seq: int
    count: int
    dropped: int
    sent_at: int

    @property
    def agent_id(self) -> str:
        """The source, under the name that it has in a stream's identity."""
        return self.source

    @property
    def next_seq(self) -> int:
        """The seq that follows the last value of the batch."""
        return self.first_seq + self.count


@dataclass(frozen=True, slots=True)
class MetricColumns:
    """The numeric columns of a batch, each of shape (count,).

    Attributes:
        name: uint16, index in the names of the batch.
        ts: int64, microseconds since the epoch.
        value: float64.
        at: int64 position on the axis of the name, NO_POSITION if there is none, or None if no value has one.
        kind: uint8, index in VALUE_KINDS, or None if all are metrics; a number behind its end is of a later version.
        absent: uint8, 1 where there is no number, or None if all have one.
        agent_attempt: int64, NO_ATTEMPT if it is not said, or None.
        env: int32, NONE if there is none, or None.
        episode: int64, likewise.
        step: int32, likewise: a step of the episode, 0 = its reset.
        step_seq: int64, likewise: a step by its seq.
    """

    name: NDArray[np.uint16]
    ts: NDArray[np.int64]
    value: NDArray[np.float64]
    at: NDArray[np.int64] | None = None
    kind: NDArray[np.uint8] | None = None
    absent: NDArray[np.uint8] | None = None
    agent_attempt: NDArray[np.int64] | None = None
    env: NDArray[np.int32] | None = None
    episode: NDArray[np.int64] | None = None
    step: NDArray[np.int32] | None = None
    step_seq: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class MetricBatch:
    """Consecutive values of one stream of metrics.

    Attributes:
        names: each pair of name and axis once.
        axes: the axis of each name, "" = none.
        agent, judge, label, text: a text a value, or nothing.
    """

    header: MetricHeader
    columns: MetricColumns
    names: tuple[str, ...]
    axes: tuple[str, ...]
    agent: tuple[str, ...] = field(default=())
    judge: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    text: tuple[str, ...] = ()

    def slice(self, start: int, stop: int) -> MetricBatch:
        """Return the values [start, stop) as a batch of their own, with the names that they have and no others."""
        h = self.header
        columns = {name: _sliced(getattr(self.columns, name), start, stop) for name in _COLUMNS}
        used, name = np.unique(columns["name"], return_inverse=True)
        columns["name"] = name.astype(np.uint16)
        return MetricBatch(
            header=replace(h, first_seq=h.first_seq + start, count=stop - start),
            columns=MetricColumns(**columns),
            names=tuple(self.names[i] for i in used),
            axes=tuple(self.axes[i] for i in used),
            **{part: getattr(self, part)[start:stop] for part in TEXTS},
        )


def _sliced(column: NDArray[Any] | None, start: int, stop: int) -> Any:  # noqa: ANN401 - an array of its own dtype
    return None if column is None else column[start:stop]


#: fields with a text a value, or none at all
TEXTS = ("agent", "judge", "label", "text")
_NEVER_EMPTY = ("name", "ts", "value")
#: field -> numpy dtype, from the `dtype` attribute of the schema
_COLUMNS: Mapping[str, np.dtype[Any]] = {name: np.dtype(dtype) for name, dtype in schema("MetricBatch").dtypes.items()}
assert set(_COLUMNS) == {column.name for column in fields(MetricColumns)}, "each column is a field of MetricColumns"

#: column -> the least value that it may have
_LEAST = {"agent_attempt": NO_ATTEMPT, "env": NONE, "episode": NONE, "step": NONE, "step_seq": NONE}


def artifact_text(name: str, uri: str, size: int, sha256: str) -> str:
    """Return what the text of an artifact says; -1 and empty = not known."""
    return json.dumps({"name": name, "uri": uri, "bytes": size, "sha256": sha256}, ensure_ascii=False)


def artifact_said(text: str) -> dict[str, Any]:
    """Return what the text of an artifact says, by name; what is no such text says nothing."""
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def check(batch: MetricBatch) -> None:
    """Raise InvalidValue unless every part of the batch agrees with its header."""
    _check_header(batch.header)
    count = batch.header.count
    for name, dtype in _COLUMNS.items():
        column = getattr(batch.columns, name)
        if column is None and name not in _NEVER_EMPTY:
            continue
        if column is None or column.shape != (count,) or column.dtype != dtype:
            found = "nothing" if column is None else f"{column.dtype.str}{list(column.shape)}"
            raise InvalidValue(f"column {name}: {found}, must be {dtype.str}[{count}]")
    _check_parts(batch)


def _check_parts(batch: MetricBatch) -> None:
    """Check what remains once header and columns are right."""
    count, columns = batch.header.count, batch.columns
    _check_names(batch)
    if columns.absent is not None and int(columns.absent.max()) > 1:
        raise InvalidValue("column absent has a value that is neither 0 nor 1")
    for name, least in _LEAST.items():
        column = getattr(columns, name)
        if column is not None and int(column.min()) < least:
            raise InvalidValue(f"column {name} has a value below {least}")
    for name in TEXTS:
        texts = getattr(batch, name)
        if texts and len(texts) != count:
            raise InvalidValue(f"column {name}: {len(texts)} entries, must be 0 or {count}")


def _check_names(batch: MetricBatch) -> None:
    names, axes = batch.names, batch.axes
    if not 1 <= len(names) <= MAX_NAMES:
        raise InvalidValue(f"{len(names)} names: must be 1 to {MAX_NAMES}")
    if len(axes) != len(names):
        raise InvalidValue(f"{len(names)} names have {len(axes)} axes")
    if not all(names):
        raise InvalidValue("a name is empty")
    if len(set(zip(names, axes, strict=True))) != len(names):
        raise InvalidValue("a name is there twice with the same axis")
    if int(batch.columns.name.max()) >= len(names):
        raise InvalidValue("column name has an index that is no name's")


def _check_header(header: MetricHeader) -> None:
    if not 1 <= header.count <= MAX_COUNT:
        raise InvalidValue(f"count {header.count}: must be 1 to {MAX_COUNT}")
    for name in ("attempt", "first_seq", "dropped", "sent_at"):
        if not 0 <= getattr(header, name) <= MAX_LONG - MAX_COUNT:
            raise InvalidValue(f"{name} {getattr(header, name)} is negative or too large")
    check_id("run_id", header.run_id)
    check_id("source", header.source)


def encode(batch: MetricBatch) -> bytes:
    """Return the Avro body of the batch.

    Raises:
        InvalidValue: its parts disagree, or a text has half a surrogate pair in it (UTF-8 cannot say that).
    """
    check(batch)
    columns = {name: getattr(batch.columns, name) for name in _COLUMNS}
    return write_record(
        schema("MetricBatch"),
        {
            **{part.name: getattr(batch.header, part.name) for part in fields(MetricHeader)},
            **{name: b"" if column is None else column.tobytes() for name, column in columns.items()},
            **{name: list(getattr(batch, name)) for name in ("names", "axes", *TEXTS)},
        },
    )


def decode(body: bytes, writer: AvroSchema | None = None) -> MetricBatch:
    """Return the batch of an Avro body, written with `writer` (default: this package's schema).

    Its arrays are read-only views.

    Raises:
        InvalidValue: truncated, trailing bytes, or columns that contradict the header.
    """
    known = schema("MetricBatch")
    _check_dtypes(writer or known)
    record = read_record(body, writer or known, known)
    header = _header(record)
    _check_header(header)
    columns: dict[str, Any] = {
        name: _column(name, record[name], header.count) for name in _COLUMNS if record[name] or name in _NEVER_EMPTY
    }
    batch = MetricBatch(
        header, MetricColumns(**columns), **{name: tuple(record[name]) for name in ("names", "axes", *TEXTS)}
    )
    _check_parts(batch)
    return batch


def decode_header(body: bytes, writer: AvroSchema | None = None) -> MetricHeader:
    """Return the header only; the columns are neither read nor checked. Raises InvalidValue."""
    known = schema("MetricBatch")
    header = _header(read_prefix(body, _header_schema(writer or known), _header_schema(known)))
    _check_header(header)
    return header


@cache
def _header_schema(writer: AvroSchema) -> AvroSchema:
    return writer.cut_before("names")


@cache
def _check_dtypes(writer: AvroSchema) -> None:
    """Refuse a schema whose column has another dtype: to Avro both are only `bytes`."""
    for name, dtype in writer.dtypes.items():
        if name in _COLUMNS and _COLUMNS[name] != np.dtype(dtype):
            raise InvalidValue(f"{writer.name}: column {name} is {dtype}, this version reads {_COLUMNS[name].str}")


def _header(record: Mapping[str, Any]) -> MetricHeader:
    return MetricHeader(**{part.name: record[part.name] for part in fields(MetricHeader)})


def _column(name: str, raw: bytes, count: int) -> NDArray[Any]:
    dtype = _COLUMNS[name]
    if len(raw) != count * dtype.itemsize:
        raise InvalidValue(f"column {name}: {len(raw)} bytes, must be {count} x {dtype.itemsize}")
    return np.frombuffer(raw, dtype)

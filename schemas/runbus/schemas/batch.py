"""Encodes and decodes a StepBatch: consecutive steps of one stream, one column per field.

`encode` and `decode` are exact inverses; both refuse a batch whose columns contradict its `count`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.config.errors import InvalidValue
from runbus.kafka.topics import check_id
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.layout import NONE, VARIABLE, Layout, check_layout, check_variable, pack, unpack
from runbus.schemas.named import Extra, Label, check_named, extra_of, label_of, sliced
from runbus.schemas.record import read_prefix, read_record, write_record

__all__ = [
    "ABSENT_ACTION",
    "ABSENT_OBSERVATION",
    "KINDS",
    "MAX_COUNT",
    "NO_PARENT",
    "NO_SEED",
    "NO_TICK",
    "STATUSES",
    "BatchHeader",
    "Extra",
    "Label",
    "StepBatch",
    "StepColumns",
    "check",
    "decode",
    "decode_header",
    "encode",
]

MAX_COUNT = 1_000_000
MAX_LONG = 2**63 - 1
NO_SEED = -(2**63)
NO_TICK = -1
NO_PARENT = -1

#: bits of the column `absent`
ABSENT_OBSERVATION, ABSENT_ACTION = 1, 2
#: who acted in a step, by the number in the column `kind`
KINDS: tuple[str, ...] = ("", "env", "model", "tool", "agent", "judge", "human")
#: how a step went, by the number in the column `status`
STATUSES: tuple[str, ...] = ("", "ok", "error", "timeout", "cancelled", "length")


@dataclass(frozen=True, slots=True)
class StepColumns:
    """The numeric columns of a batch, each of shape (count,).

    Attributes:
        env: int32, index in a vector environment.
        episode: int64, index of the episode within its env.
        step: int32, 0 = the reset, then 1..T.
        ts: int64, microseconds since the epoch.
        reward: float64, 0 on a reset.
        terminated, truncated: uint8, 0 or 1.
        tick: int64 step of a multi-agent environment, or None.
        seed: int64, NO_SEED if there is none, or None if no row has one.
        absent: uint8, ABSENT_OBSERVATION and ABSENT_ACTION of a value that does not exist, or None if all exist.
        kind: uint8, index in KINDS, or None; a number behind its end is a word that a later version has.
        status: uint8, index in STATUSES, likewise.
        parent: int64 seq of the step that caused it, NO_PARENT if there is none, or None.
    """

    env: NDArray[np.int32]
    episode: NDArray[np.int64]
    step: NDArray[np.int32]
    ts: NDArray[np.int64]
    reward: NDArray[np.float64]
    terminated: NDArray[np.uint8]
    truncated: NDArray[np.uint8]
    tick: NDArray[np.int64] | None = None
    seed: NDArray[np.int64] | None = None
    absent: NDArray[np.uint8] | None = None
    kind: NDArray[np.uint8] | None = None
    status: NDArray[np.uint8] | None = None
    parent: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """The fields that a reader learns without decoding a column."""

    run_id: str
    agent_id: str
    attempt: int
    first_seq: int
    count: int
    dropped: int
    sent_at: int
    action: Layout = NONE
    observation: Layout = NONE

    @property
    def next_seq(self) -> int:
        """The seq that follows the last step of the batch."""
        return self.first_seq + self.count


@dataclass(frozen=True, slots=True)
class StepBatch:
    """Consecutive steps of one stream. `action` and `observation` are packed columns (see layout.pack).

    `info`, `large_seeds` and `stop` have a text a step, or are empty. A large seed is one that is no int64: digits, or
    `0x` and hexadecimal digits.
    """

    header: BatchHeader
    columns: StepColumns
    action: bytes = b""
    observation: bytes = b""
    extras: tuple[Extra, ...] = ()
    info: tuple[str, ...] = field(default=())
    large_seeds: tuple[str, ...] = ()
    labels: tuple[Label, ...] = ()
    stop: tuple[str, ...] = ()

    def slice(self, start: int, stop: int) -> StepBatch:
        """Return the steps [start, stop) as a batch of their own.

        It has the extras and labels that one of these steps has, and no others.
        """
        h = self.header
        return StepBatch(
            header=replace(h, first_seq=h.first_seq + start, count=stop - start),
            columns=_sliced_columns(self.columns, start, stop),
            action=_sliced_values(h.action, self.action, h.count, start, stop),
            observation=_sliced_values(h.observation, self.observation, h.count, start, stop),
            extras=sliced(self.extras, start, stop),
            info=self.info[start:stop],
            large_seeds=self.large_seeds[start:stop],
            labels=sliced(self.labels, start, stop),
            stop=self.stop[start:stop],
        )


def _sliced_columns(columns: StepColumns, start: int, stop: int) -> StepColumns:
    sliced: dict[str, Any] = {}
    for column in fields(columns):
        values = getattr(columns, column.name)
        sliced[column.name] = None if values is None else values[start:stop]
    return StepColumns(**sliced)


def _sliced_values(layout: Layout, values: bytes, count: int, start: int, stop: int) -> bytes:
    if layout.width == VARIABLE:
        return pack(layout, unpack(layout, values, count)[start:stop])
    return values[layout.width * start : layout.width * stop]


_OPTIONAL = ("tick", "seed", "absent", "kind", "status", "parent")
#: fields with a text a step, or none at all
_TEXTS = ("info", "large_seeds", "stop")
_LARGE_SEED = re.compile(r"-?[0-9]+|-?0x[0-9a-f]+|")
#: field -> (numpy dtype, whether it may be empty), from the `dtype` attribute of the schema
_COLUMNS: Mapping[str, tuple[np.dtype[Any], bool]] = {
    path: (np.dtype(dtype), path in _OPTIONAL) for path, dtype in schema("StepBatch").dtypes.items() if "/" not in path
}

#: what a batch has of fields that it does not use
_NOTHING: Mapping[str, object] = {**dict.fromkeys(_OPTIONAL, b""), **{name: [] for name in (*_TEXTS, "labels")}}


def check(batch: StepBatch) -> None:
    """Raise InvalidValue unless every part of the batch agrees with its header."""
    _check_header(batch.header)
    _check_columns(batch)
    _check_parts(batch)


def _check_columns(batch: StepBatch) -> None:
    count = batch.header.count
    for name, (dtype, optional) in _COLUMNS.items():
        column = getattr(batch.columns, name)
        if column is None and optional:
            continue
        if column is None or column.shape != (count,) or column.dtype != dtype:
            found = "nothing" if column is None else f"{column.dtype.str}{list(column.shape)}"
            raise InvalidValue(f"column {name}: {found}, must be {dtype.str}[{count}]")


def _check_parts(batch: StepBatch) -> None:
    """Check what remains once header and columns are right."""
    count, absent = batch.header.count, batch.columns.absent
    for name in ("terminated", "truncated"):
        if int(getattr(batch.columns, name).max()) > 1:
            raise InvalidValue(f"column {name} has a value that is neither 0 nor 1")
    if absent is not None and int(absent.max()) > ABSENT_OBSERVATION | ABSENT_ACTION:
        raise InvalidValue("column absent has a value that is not 0 to 3")
    for name in _TEXTS:
        texts = getattr(batch, name)
        if texts and len(texts) != count:
            raise InvalidValue(f"column {name}: {len(texts)} entries, must be 0 or {count}")
    if batch.large_seeds and not all(map(_LARGE_SEED.fullmatch, batch.large_seeds)):
        raise InvalidValue("column large_seeds has a text that is no whole number")
    if batch.extras:
        check_named("extra", batch.extras, count)
    if batch.labels:
        check_named("label", batch.labels, count)
    _check_values("action", batch.header.action, batch.action, count)
    _check_values("observation", batch.header.observation, batch.observation, count)


_check_layout = lru_cache(maxsize=64)(check_layout)  # a stream has few


def _check_header(header: BatchHeader) -> None:
    if not 1 <= header.count <= MAX_COUNT:
        raise InvalidValue(f"count {header.count}: must be 1 to {MAX_COUNT}")
    for name in ("attempt", "first_seq", "dropped", "sent_at"):
        if not 0 <= getattr(header, name) <= MAX_LONG - MAX_COUNT:
            raise InvalidValue(f"{name} {getattr(header, name)} is negative or too large")
    check_id("run_id", header.run_id)
    check_id("agent_id", header.agent_id)
    _check_layout(header.action)
    _check_layout(header.observation)


def _check_values(name: str, layout: Layout, column: bytes, count: int) -> None:
    try:
        if layout.width == VARIABLE:
            check_variable(layout, column, count)
        elif len(column) != layout.width * count:
            raise InvalidValue(f"{len(column)} bytes, must be {layout.width * count}")
    except InvalidValue as error:
        raise InvalidValue(f"column {name}: {error}") from error


def encode(batch: StepBatch) -> bytes:
    """Return the Avro body of the batch.

    Raises:
        InvalidValue: its parts disagree, or a text has half a surrogate pair in it (UTF-8 cannot say that).
    """
    check(batch)
    return write_record(schema("StepBatch"), _record(batch))


def _record(batch: StepBatch) -> dict[str, object]:
    h, columns = batch.header, batch.columns
    record: dict[str, object] = {
        **_NOTHING,
        "run_id": h.run_id,
        "agent_id": h.agent_id,
        "attempt": h.attempt,
        "first_seq": h.first_seq,
        "count": h.count,
        "dropped": h.dropped,
        "sent_at": h.sent_at,
        "extras": [extra.record() for extra in batch.extras],
        "action": batch.action,
        "observation": batch.observation,
    }
    for name, layout in (("action", h.action), ("observation", h.observation)):
        record |= {f"{name}_dtype": layout.dtype, f"{name}_shape": list(layout.shape), f"{name}_width": layout.width}
    for name in _TEXTS:
        if texts := getattr(batch, name):
            record[name] = list(texts)
    if batch.labels:
        record["labels"] = [label.record() for label in batch.labels]
    for name in _COLUMNS:
        column = getattr(columns, name)
        if column is not None:
            record[name] = column.tobytes()
    return record


def decode(body: bytes, writer: AvroSchema | None = None) -> StepBatch:
    """Return the batch of an Avro body, written with `writer` (default: this package's schema).

    Its arrays are read-only views.

    Raises:
        InvalidValue: truncated, trailing bytes, or columns that contradict the header.
    """
    known = schema("StepBatch")
    _check_dtypes(writer or known)
    record = read_record(body, writer or known, known)
    header = _header(record)
    _check_header(header)
    columns: dict[str, Any] = {
        name: _column(name, record[name], header.count)
        for name, (_, optional) in _COLUMNS.items()
        if record[name] or not optional
    }
    batch = StepBatch(
        header=header,
        columns=StepColumns(**columns),
        action=record["action"],
        observation=record["observation"],
        extras=tuple(map(extra_of, record["extras"])),
        info=tuple(record["info"]),
        large_seeds=tuple(record["large_seeds"]),
        labels=tuple(map(label_of, record["labels"])),
        stop=tuple(record["stop"]),
    )
    _check_parts(batch)
    return batch


def decode_header(body: bytes, writer: AvroSchema | None = None) -> BatchHeader:
    """Return the header only; the columns are neither read nor checked. Raises InvalidValue."""
    known = schema("StepBatch")
    header = _header(read_prefix(body, _header_schema(writer or known), _header_schema(known)))
    _check_header(header)
    return header


@cache
def _header_schema(writer: AvroSchema) -> AvroSchema:
    return writer.cut_before("env")


@cache
def _check_dtypes(writer: AvroSchema) -> None:
    """Refuse a schema whose column has another dtype: to Avro both are only `bytes`."""
    known = schema("StepBatch").dtypes
    for path, dtype in writer.dtypes.items():
        if known.get(path, dtype) != dtype:
            raise InvalidValue(f"{writer.name}: column {path} is {dtype}, this version reads {known[path]}")


def _header(record: Mapping[str, Any]) -> BatchHeader:
    def layout(name: str) -> Layout:
        return Layout(record[f"{name}_dtype"], tuple(record[f"{name}_shape"]), record[f"{name}_width"])

    return BatchHeader(
        run_id=record["run_id"],
        agent_id=record["agent_id"],
        attempt=record["attempt"],
        first_seq=record["first_seq"],
        count=record["count"],
        dropped=record["dropped"],
        sent_at=record["sent_at"],
        action=layout("action"),
        observation=layout("observation"),
    )


def _column(name: str, raw: bytes, count: int) -> NDArray[Any]:
    dtype, _ = _COLUMNS[name]
    if len(raw) != count * dtype.itemsize:
        raise InvalidValue(f"column {name}: {len(raw)} bytes, must be {count} x {dtype.itemsize}")
    return np.frombuffer(raw, dtype)

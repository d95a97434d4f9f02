"""Reads what a recorder published on its bus: batches, once around through the wire format, and their rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from runbus.recorder import ABSENT
from runbus.recorder.events import StepsRecorded
from runbus.schemas.batch import (
    ABSENT_ACTION,
    ABSENT_OBSERVATION,
    KINDS,
    NO_PARENT,
    NO_SEED,
    STATUSES,
    StepBatch,
    decode,
    encode,
)
from runbus.schemas.layout import decode_value, unpack


class RecordedRow(NamedTuple):
    """One row of a batch; an observation or action that is absent is ABSENT, a seed or info that is not there None."""

    seq: int
    env: int
    episode: int
    step: int
    reward: float
    over: tuple[bool, bool]
    action: Any
    observation: Any
    seed: int | None
    info: str | None
    extras: dict[str, float]

    @property
    def at(self) -> tuple[int, int]:
        """Episode and step."""
        return self.episode, self.step


class RowWords(NamedTuple):
    """What is said about a row."""

    kind: str
    status: str
    parent: int
    stop: str


def batches_of(events: Iterable[object]) -> list[StepBatch]:
    """Return the batches among the events of a bus."""
    return [decode(encode(event.batch())) for event in events if isinstance(event, StepsRecorded)]


def rows_of(batch: StepBatch) -> Iterator[RecordedRow]:
    """Yield the rows of a batch."""
    header, columns = batch.header, batch.columns
    seen = unpack(header.observation, batch.observation, header.count)
    did = unpack(header.action, batch.action, header.count)
    for i in range(header.count):
        absent = 0 if columns.absent is None else int(columns.absent[i])
        seed = NO_SEED if columns.seed is None else int(columns.seed[i])
        yield RecordedRow(
            seq=header.first_seq + i,
            env=int(columns.env[i]),
            episode=int(columns.episode[i]),
            step=int(columns.step[i]),
            reward=float(columns.reward[i]),
            over=(bool(columns.terminated[i]), bool(columns.truncated[i])),
            action=ABSENT if absent & ABSENT_ACTION else decode_value(header.action, did[i]),
            observation=ABSENT if absent & ABSENT_OBSERVATION else decode_value(header.observation, seen[i]),
            seed=None if seed == NO_SEED else seed,
            info=(batch.info[i] or None) if batch.info else None,
            extras={e.name: float(e.values[e.rows.tolist().index(i)]) for e in batch.extras if i in e.rows},
        )


def words_of(batch: StepBatch) -> Iterator[RowWords]:
    """Yield what is said about each row of a batch."""
    columns = batch.columns
    for i in range(batch.header.count):
        yield RowWords(
            kind=KINDS[0 if columns.kind is None else int(columns.kind[i])],
            status=STATUSES[0 if columns.status is None else int(columns.status[i])],
            parent=NO_PARENT if columns.parent is None else int(columns.parent[i]),
            stop=batch.stop[i] if batch.stop else "",
        )


def labels_of(batch: StepBatch) -> list[dict[str, str]]:
    """Return the labels of each row of a batch."""
    found: list[dict[str, str]] = [{} for _ in range(batch.header.count)]
    for label in batch.labels:
        for row, value in zip(label.rows.tolist(), label.values, strict=True):
            found[row][label.name] = value
    return found

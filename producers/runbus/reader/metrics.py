"""Defines the event of `metrics`: consecutive metrics and scores of one source, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.kafka.topics import METRICS
from runbus.reader.batch_event import BatchEvent
from runbus.reader.events import At, LogEvent, register
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.metric_batch import (
    ARTIFACT,
    METRIC,
    NO_POSITION,
    SCORE,
    MetricBatch,
    MetricColumns,
    artifact_said,
    decode,
)


@dataclass(frozen=True)
class MetricValues(BatchEvent):
    """Consecutive values of one source, in the order in which they were recorded; see BatchEvent."""

    batch: MetricBatch

    @property
    def source(self) -> str:
        """Who says it: an agent, or a process without steps."""
        return self.batch.header.source

    @property
    def columns(self) -> MetricColumns:
        """name, ts, at, value and what a value is about; each is documented there."""
        return self.batch.columns

    @property
    def names(self) -> Sequence[tuple[str, str]]:
        """Name and axis by their number in the column `name`; the axis is empty where there is none."""
        return tuple(zip(self.batch.names, self.batch.axes, strict=True))

    @property
    def ts(self) -> NDArray[np.int64]:
        """Wall time of each value, microseconds since the epoch."""
        return self.batch.columns.ts

    @property
    def value(self) -> NDArray[np.float64]:
        """Each value; means nothing where `has_value` is false."""
        return self.batch.columns.value

    @property
    def has_value(self) -> NDArray[np.bool_]:
        """Where there is a number: else there is a text, or a judgement in words."""
        absent = self.batch.columns.absent
        return np.ones(len(self), np.bool_) if absent is None else absent == 0

    @property
    def position(self) -> NDArray[np.int64]:
        """Position of each value on its axis; the smallest int64 = none."""
        at = self.batch.columns.at
        return np.full(len(self), NO_POSITION) if at is None else at

    @property
    def kind(self) -> NDArray[np.uint8]:
        """What each value is: an index in VALUE_KINDS; a number behind its end is of a later version."""
        kind = self.batch.columns.kind
        return np.full(len(self), METRIC, np.uint8) if kind is None else kind

    @property
    def is_score(self) -> NDArray[np.bool_]:
        """Which values are scores."""
        return np.equal(self.kind, SCORE)

    @property
    def artifacts(self) -> Mapping[int, Mapping[str, Any]]:
        """Row -> type, name, uri, bytes and sha256 of the values that are references to artifacts."""
        rows = np.flatnonzero(self.kind == ARTIFACT).tolist()
        types = {row: self.batch.names[self.batch.columns.name[row]] for row in rows}
        return {row: {"type": types[row], **artifact_said(self.text[row] if self.text else "")} for row in rows}

    @cached_property
    def curves(self) -> Mapping[tuple[str, str], tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """(name, axis) -> (positions, numbers) of the metrics that have a number, in their order. These are copies."""
        metrics = (self.kind == METRIC) & self.has_value
        found = {}
        for number, named in enumerate(self.names):
            rows = metrics & (self.batch.columns.name == number)
            if rows.any():
                found[named] = (self.position[rows], self.value[rows])
        return found

    @property
    def text(self) -> Sequence[str]:
        """A text or "" a value; empty = none has any."""
        return self.batch.text

    @property
    def label(self) -> Sequence[str]:
        """The judgement as a word, likewise."""
        return self.batch.label


def _metrics(at: At, body: bytes, writer: AvroSchema) -> LogEvent:
    return MetricValues(at, decode(body, writer))


register(METRICS, _metrics)

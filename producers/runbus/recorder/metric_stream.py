"""Fills the open batch of a stream of metrics, and closes it by size, or by age when the ticker asks."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from runbus.kafka.model import StreamId
from runbus.kafka.topics import METRICS
from runbus.recorder.artifact import Artifact
from runbus.recorder.counts import StreamCounts
from runbus.recorder.file_reference import FileReference
from runbus.recorder.metric_rows import MetricRows, MetricsRecorded, Names
from runbus.recorder.metric_values import NamedValues, name_of, named_values, nanoseconds_of, position_of
from runbus.recorder.open_batch import BatchedStream, StreamEnded
from runbus.recorder.row_words import LeaveOut, plain_text
from runbus.recorder.score import About
from runbus.recorder.values import number
from runbus.schemas.metric_batch import ARTIFACT, NO_POSITION, SCORE

MAX_VALUES = 8192
MAX_BYTES = 256 * 1024
#: Different names that a stream may have, each axis for itself. What has more is no metric: an id is part of the name.
MAX_NAMES = 10_000
_VALUE_BYTES = 32  # of one value, in memory
_MAX_KNOWN = 64  # sets of names that are remembered

Publish = Callable[[MetricsRecorded], None]


class MetricStream(BatchedStream[MetricsRecorded]):
    """Takes the metrics and scores of one (run, source, attempt) and publishes them in batches, in order.

    Any order and any repetition of positions is taken. A value that cannot be kept is left out by itself and counted.
    The methods raise StreamEnded after `end`, and what a mapping raises that is none; nothing else.

    Args:
        publish: gets each closed batch, under the stream's lock, so that batches stay in order.
        remark: is told which part was left out and why.
    """

    def __init__(self, id_: StreamId, publish: Publish, remark: LeaveOut) -> None:
        counts = StreamCounts(id_, METRICS)
        self._series: list[tuple[str, str]] = []
        super().__init__(counts, MetricsRecorded(counts, self._series), publish)
        self._remark = remark
        self._numbers: dict[tuple[str, str], int] = {}
        self._known: dict[tuple[str, tuple[Any, ...]], Names] = {}

    def log(self, values: Mapping[Any, Any], step: object, axis: str, time: float | None) -> None:
        """Append named values. See Recorder.metrics."""
        ts = nanoseconds_of(time, self.leave_out)
        found = named_values(values, self.leave_out)
        at = position_of(step, self.leave_out)
        with self.lock:
            names, kept = self._names_of(found, "" if step is None else axis)
            if len(names):
                self._append(MetricRows(names, kept.numbers, at, ts, kept.texts))

    def score(self, value: Any, name: str, about: About, time: float | None) -> None:  # noqa: ANN401 - any number, or None
        """Append one score; None as its value = it only has words. See Recorder.score."""
        ts = nanoseconds_of(time, self.leave_out)
        absent, found = value is None, np.nan
        try:
            found = found if absent else number(value)
        except Exception as error:  # noqa: BLE001 - whatever the caller calls a number
            self.leave_out("score", f"{error}. Pass a number, or None and a label or a text")
            absent = True
        if absent and not (about.label or about.text):
            if value is None:
                self.leave_out("score", "a score without a number needs a label or a text")
            return
        with self.lock:
            names, kept = self._names_of(NamedValues((name,), array("d", [found])), "")
            if len(names):
                self._append(MetricRows(names, kept.numbers, NO_POSITION, ts, {}, SCORE, absent, about))

    def artifact(self, artifact: Artifact, found: FileReference, why: str) -> None:
        """Append the reference to an artifact; `why` says why it has no hash, if it should have one."""
        if why:
            self.leave_out("artifact", f"{found.uri} is recorded without a hash: {why}")
        found = artifact.reference(found)
        unknown = found.bytes < 0
        with self.lock:
            sizes = array("d", [np.nan if unknown else found.bytes])
            names, kept = self._names_of(NamedValues((artifact.type,), sizes), artifact.axis)
            if len(names):
                about = artifact.about._replace(text=artifact.text(found))
                self._append(MetricRows(names, kept.numbers, artifact.at, artifact.ts, {}, ARTIFACT, unknown, about))

    def leave_out(self, part: str, why: str) -> None:
        """Count a value that is not recorded, or not as it was given, and say why."""
        self.counts.leave_out(part)
        self._remark(part, why)

    def _names_of(self, found: NamedValues, axis: str) -> tuple[Names, NamedValues]:
        """Return the numbers of the names, and the values that have one: all, but for names that are too many."""
        known = self._known.get((axis, found.names))
        if known is not None:
            return known, found
        of_axis = plain_text(axis, "metrics", self.leave_out)
        numbers = [self._number_of(name_of(name, self.leave_out), of_axis) for name in found.names]
        kept = [row for row, of in enumerate(numbers) if of is not None]
        names = np.array([numbers[row] for row in kept], np.uint32)
        if len(kept) == len(numbers):
            self._remember(axis, found.names, names)
            return names, found
        texts = {at: found.texts[row] for at, row in enumerate(kept) if row in found.texts}
        return names, NamedValues(
            tuple(found.names[row] for row in kept), array("d", [found.numbers[row] for row in kept]), texts
        )

    def _number_of(self, name: str, axis: str) -> int | None:
        """Return the number of a name on an axis; None if it is empty, or one too many."""
        if not name:
            return None
        of = self._numbers.get((name, axis))
        if of is None and len(self._series) < MAX_NAMES:
            of = self._numbers[name, axis] = len(self._series)
            self._series.append((name, axis))
        elif of is None:
            self.leave_out(
                "metrics name",
                f"{name[:100]!r} is one name too many, of {MAX_NAMES} that a source may have. Leave ids out of names",
            )
        return of

    def _remember(self, axis: str, names: tuple[Any, ...], numbers: Names) -> None:
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[axis, names] = numbers

    def _append(self, rows: MetricRows) -> None:
        if self._ended:
            raise StreamEnded("the stream has ended")
        batch = self._open
        words = sum(map(len, rows.texts.values())) + sum(
            map(len, (rows.about.text, rows.about.label, rows.about.judge))
        )
        try:
            batch.rows.append(rows)
            nbytes, count = batch.nbytes + _VALUE_BYTES * len(rows.numbers) + words, batch.count + len(rows.numbers)
            batch.nbytes, batch.count = nbytes, count
        except BaseException:
            batch.cut_to_count()
            raise
        if count >= MAX_VALUES or nbytes >= MAX_BYTES:
            self.close()

    def _after(self, _batch: MetricsRecorded, /) -> MetricsRecorded:
        return MetricsRecorded(self.counts, self._series)

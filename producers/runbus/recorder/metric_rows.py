"""Defines the event of recorded metrics: consecutive values of one stream, on their way to columns."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runbus.kafka.topics import METRICS, Topic
from runbus.recorder.counts import StreamCounts
from runbus.recorder.score import NOTHING, About
from runbus.schemas.metric_batch import (
    METRIC,
    NO_POSITION,
    MetricBatch,
    MetricColumns,
    MetricHeader,
)

Names = NDArray[np.uint32]


class MetricRows(NamedTuple):
    """The values of one call: same time, same position.

    Attributes:
        names: the number of each value's name in its stream.
        numbers: as many; NaN where there is none.
        at: position on the axis, NO_POSITION = none.
        ts: nanoseconds since the epoch.
        texts: by index: values that are texts.
        kind: METRIC, SCORE or ARTIFACT.
        absent: there is no number.
        about: what they are about.
    """

    names: Names
    numbers: array[float]
    at: int
    ts: int
    texts: Mapping[int, str] = {}
    kind: int = METRIC
    absent: bool = False
    about: About = NOTHING


@dataclass(slots=True)
class MetricsRecorded:
    """Consecutive values of one stream of metrics. The stream fills it, closes it and publishes it.

    Attributes:
        counts: of the stream.
        series: name and axis by number, as the stream has them; they only grow.
        first_seq: seq of its first value; known when it is closed.
        rows: the values of each call.
        count: values in it.
        nbytes: the memory that it holds, roughly.
        closed_at: monotonic seconds; 0 = it is being filled.
        settled: its values were written to the log or counted as dropped.
    """

    TOPIC: ClassVar[Topic] = METRICS

    counts: StreamCounts
    series: Sequence[tuple[str, str]]
    first_seq: int = 0
    rows: list[MetricRows] = field(default_factory=list)
    count: int = 0
    nbytes: int = 0
    closed_at: float = 0.0
    settled: bool = False

    def cut_to_count(self) -> None:
        """Take back the values of a call that is not counted."""
        ends = accumulate(len(rows.numbers) for rows in self.rows)
        self.rows = [rows for rows, end in zip(self.rows, ends, strict=True) if end <= self.count]

    def batch(self, *, sent_at: int = 0) -> MetricBatch:
        """Return the wire's batch, in columns. `sent_at` is microseconds."""
        id_, rows = self.counts.id, self.rows
        numbers = np.concatenate([one.names for one in rows])
        used = np.flatnonzero(np.bincount(numbers))  # a stream has few names, so this is much faster than sorting
        place = np.zeros(int(used[-1]) + 1, np.uint16)
        place[used] = np.arange(len(used))
        series = [self.series[number] for number in used.tolist()]
        return MetricBatch(
            header=MetricHeader(
                run_id=id_.run_id,
                source=id_.agent_id,
                attempt=id_.attempt,
                first_seq=self.first_seq,
                count=self.count,
                dropped=self.counts.dropped,
                sent_at=sent_at,
            ),
            columns=self._columns(place[numbers]),
            names=tuple(name for name, _ in series),
            axes=tuple(axis for _, axis in series),
            agent=self._texts([one.about.agent for one in rows]),
            judge=self._texts([one.about.judge for one in rows]),
            label=self._texts([one.about.label for one in rows]),
            text=self._texts_of_values(),
        )

    def _columns(self, name: NDArray[np.uint16]) -> MetricColumns:
        rows = self.rows
        return MetricColumns(
            name=name,
            ts=self._spread([one.ts // 1000 for one in rows], np.int64),
            value=np.frombuffer(b"".join([memoryview(one.numbers) for one in rows]), np.float64),
            at=self._optional([one.at for one in rows], np.int64, NO_POSITION),
            kind=self._optional([one.kind for one in rows], np.uint8, METRIC),
            absent=self._absent(),
            agent_attempt=self._about("agent_attempt", np.int64),
            env=self._about("env", np.int32),
            episode=self._about("episode", np.int64),
            step=self._about("step", np.int32),
            step_seq=self._about("step_seq", np.int64),
        )

    def _about(self, part: str, dtype: type[np.generic]) -> NDArray[Any] | None:
        """Return a column of what the values are about; None if no call names it."""
        if all(one.about is NOTHING for one in self.rows):
            return None
        return self._optional([getattr(one.about, part) for one in self.rows], dtype, getattr(NOTHING, part))

    def _spread(self, of_calls: Sequence[Any], dtype: type[np.generic]) -> NDArray[Any]:
        """Return a value of each call for each of its rows."""
        return np.repeat(np.array(of_calls, dtype), [len(one.numbers) for one in self.rows])

    def _optional(self, of_calls: Sequence[int], dtype: type[np.generic], none: int) -> NDArray[Any] | None:
        return None if all(value == none for value in of_calls) else self._spread(of_calls, dtype)

    def _absent(self) -> NDArray[np.uint8] | None:
        rows = self.rows
        if not any(one.absent or one.texts for one in rows):
            return None
        absent = self._spread([one.absent for one in rows], np.uint8)
        absent[list(self._rows_of_texts())] = 1
        return absent

    def _texts(self, of_calls: Sequence[str]) -> tuple[str, ...]:
        if not any(of_calls):
            return ()
        return tuple(text for text, one in zip(of_calls, self.rows, strict=True) for _ in one.numbers)

    def _texts_of_values(self) -> tuple[str, ...]:
        of_calls = self._texts([one.about.text for one in self.rows])
        of_rows = self._rows_of_texts()
        if not of_rows:
            return of_calls
        texts = list(of_calls or [""] * self.count)
        for row, text in of_rows.items():
            texts[row] = text
        return tuple(texts)

    def _rows_of_texts(self) -> dict[int, str]:
        starts = accumulate((len(one.numbers) for one in self.rows), initial=0)
        return {
            start + row: text for start, one in zip(starts, self.rows, strict=False) for row, text in one.texts.items()
        }

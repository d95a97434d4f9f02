"""Keeps the last value of the metrics of each source, for pages that show how it is now. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from runbus.kafka.model import StreamId
from runbus.schemas.metric_batch import METRIC, NO_POSITION, MetricBatch

Row = dict[str, Any]

#: Names of a source that are shown, those that came first: a page has room for so many, and history has all.
MOST_NAMES = 32


class LastValues:
    """The last value of at most MOST_NAMES names of each stream of metrics, by arrival."""

    def __init__(self) -> None:
        self._of: dict[StreamId, dict[tuple[str, str], Row]] = {}

    def take(self, batch: MetricBatch) -> StreamId:
        """Take a batch, and return whose it is. Scores and texts are no values of a metric."""
        header, columns = batch.header, batch.columns
        stream = StreamId(header.run_id, header.source, header.attempt)
        known = self._of.setdefault(stream, {})
        numbers = np.ones(header.count, np.bool_)
        for column, wanted in ((columns.kind, METRIC), (columns.absent, 0)):
            if column is not None:
                numbers &= column == wanted
        rows = np.flatnonzero(numbers)
        # of each name the last row: the first one from behind
        names, behind = np.unique(columns.name[rows][::-1], return_index=True)
        for name, row in zip(names.tolist(), rows[::-1][behind].tolist(), strict=True):
            key = batch.names[name], batch.axes[name]
            if key in known or len(known) < MOST_NAMES:
                at = NO_POSITION if columns.at is None else int(columns.at[row])
                known[key] = _row(key, at, float(columns.value[row]), int(columns.ts[row]))
        return stream

    def of(self, stream: StreamId) -> list[Row]:
        """Return name, axis, position (None = none), value and time (microseconds) of each metric."""
        return list(self._of.get(stream, {}).values())


def _row(key: tuple[str, str], at: int, value: float, ts: int) -> Row:
    shown: Mapping[str, Any] = {
        "at": None if at == NO_POSITION else at,
        "value": value if math.isfinite(value) else str(value),  # JSON has neither NaN nor infinities
    }
    return {"name": key[0], "axis": key[1], **shown, "ts": ts}

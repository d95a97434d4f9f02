"""Makes batches of steps and of metrics out of what a test cares about."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.schemas.batch import BatchHeader, StepBatch, StepColumns
from runbus.schemas.layout import Layout
from runbus.schemas.metric_batch import MetricBatch, MetricColumns, MetricHeader

_MONTH_US = 30 * 24 * 3600 * 1_000_000


def step_columns(seq: NDArray[Any], ts: NDArray[Any], **others: NDArray[Any]) -> StepColumns:
    """Return the columns of one env in one open episode, each reward its seq; `others`, by name, replace that."""
    nothing = np.zeros(len(seq), "u1")
    columns = {
        "env": np.zeros(len(seq), "<i4"),
        "episode": np.zeros(len(seq), "<i8"),
        "step": seq.astype("<i4"),
        "ts": ts.astype("<i8"),
        "reward": seq.astype("<f8"),
        "terminated": nothing,
        "truncated": nothing,
        **others,
    }
    return StepColumns(**columns)


def make_metrics(header: MetricHeader) -> MetricBatch:
    """Return a batch whose values are their seq, at their seq, each name on another axis by turns."""
    seq = np.arange(header.first_seq, header.next_seq)
    columns = MetricColumns(
        name=(seq % 2).astype("<u2"), ts=1_790_000_000_000_000 + seq, value=seq.astype("<f8"), at=seq.astype("<i8")
    )
    return MetricBatch(header, columns, ("loss", "return"), ("global_step", "env_steps"))


def batch_of_months(first: int, count: int, *, across: bool) -> StepBatch:
    """Return a batch; `across` = its steps lie in two months, which are two parts of a table."""
    seq = np.arange(first, first + count)
    ts = 690 * _MONTH_US + np.arange(count) - (count // 2 if across else 0)
    header = BatchHeader("r", "a", 7, first, count, 0, 1, Layout("<i8", (), 8), Layout("<f4", (1,), 4))
    return StepBatch(header, step_columns(seq, ts), seq.astype("<i8").tobytes(), seq.astype("<f4").tobytes())

"""The rows of a batch, one by one: what both references are computed from. Nothing of the apps is used."""

from __future__ import annotations

from typing import NamedTuple

from runbus.schemas.batch import StepBatch


class Row(NamedTuple):
    """One row of the log."""

    seq: int
    env: int
    episode: int
    step: int
    ts: int
    reward: float
    terminated: bool
    truncated: bool
    extras: dict[str, float]  # of several numbers of a name their sum
    labels: dict[str, str]
    stop: str


def rows_of(batch: StepBatch) -> list[Row]:
    """Return a batch as rows, in the order of their seq."""
    c = batch.columns
    extras: list[dict[str, float]] = [{} for _ in range(batch.header.count)]
    for extra in batch.extras:
        for row, value in zip(extra.rows.tolist(), extra.values.tolist(), strict=True):
            extras[row][extra.name] = extras[row].get(extra.name, 0.0) + value
    labels: list[dict[str, str]] = [{} for _ in range(batch.header.count)]
    for label in batch.labels:
        for row, text in zip(label.rows.tolist(), label.values, strict=True):
            labels[row][label.name] = text
    seqs = range(batch.header.first_seq, batch.header.next_seq)
    columns = (c.env, c.episode, c.step, c.ts, c.reward, c.terminated.astype(bool), c.truncated.astype(bool))
    stops = batch.stop or [""] * batch.header.count
    return list(map(Row, seqs, *(column.tolist() for column in columns), extras, labels, stops))

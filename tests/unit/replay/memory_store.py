"""A store of steps in memory: streams that were cut into blocks anywhere, and a Source that reads it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.kafka.model import StreamId
from runbus.reader.events import At
from runbus.reader.steps import Steps
from runbus.replay import Source
from runbus.replay.rows import StepRows
from runbus.replay.store import RunBlock
from runbus.schemas.batch import BatchHeader, StepBatch
from runbus.schemas.layout import NONE, Layout
from tests.support.batches import step_columns

ATTEMPT = 1_790_000_000_000_000
ACTION, OBSERVATION, TEXT = Layout("<i8", (), 8), Layout("<f4", (2,), 8), Layout("text", (), -1)
NOWHERE = At("steps", 0, 0, 0, b"")


def stream_rows(agent: str, lengths: Sequence[int], envs: int = 1, *, first: int = 0, text: bool = False) -> StepRows:
    """Return the steps of a stream: episodes of these lengths, in turn over some envs, step by step together.

    Each reward and observation is the seq; the last episode has no end. With `text` observations are texts.
    """
    rows: list[tuple[int, int, int, bool]] = []
    for number in range(0, len(lengths), envs):
        group = [(env, number // envs, length) for env, length in enumerate(lengths[number : number + envs])]
        for step in range(max(length for *_, length in group) + 1):
            rows += [(env, episode, step, step == length) for env, episode, length in group if step <= length]
    count = len(rows)
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    columns[3][-1] = False
    seq = np.arange(first, first + count)
    names = {"env": "<i4", "episode": "<i8", "step": "<i4", "terminated": "u1"}
    typed = {name: column.astype(dtype) for (name, dtype), column in zip(names.items(), columns, strict=True)}
    words = [f"seq {n}".encode() for n in seq.tolist()]
    lines = np.array([len(w) for w in words], "<u4").tobytes() + b"".join(words)
    header = BatchHeader(
        "run", agent, ATTEMPT, first, count, 0, 1, ACTION, Layout("text", (), -1) if text else OBSERVATION
    )
    observations = lines if text else np.repeat(seq, 2).astype("<f4").tobytes()
    made = StepBatch(header, step_columns(seq, ATTEMPT + seq, **typed), seq.astype("<i8").tobytes(), observations)
    return StepRows.of(Steps(NOWHERE, made))


def without_values(rows: StepRows) -> StepRows:
    """Return the rows as a recorder sends them that has no action and no observation yet."""
    nothing = np.zeros(len(rows), np.bool_)
    return replace(
        rows, action=None, observation=None, has_action=nothing, has_observation=nothing, layouts=(NONE, NONE)
    )


def cut(rows: StepRows, edges: Iterable[int]) -> list[StepRows]:
    """Return the rows cut at these places."""
    places = [0, *sorted({edge for edge in edges if 0 < edge < len(rows)}), len(rows)]
    return [rows.take(slice(a, b)) for a, b in pairwise(places)]


class MemoryStore:
    """Lanes of blocks; see store.RunStore."""

    def __init__(self, lanes: Sequence[Sequence[list[StepRows]]]) -> None:
        self._lanes = lanes
        self.blocks = [
            RunBlock(lane, number, number + 1, sum(map(len, parts)))
            for lane, blocks in enumerate(lanes)
            for number, parts in enumerate(blocks)
        ]
        self.bounds: Any = {"lanes": len(lanes)}
        self.reads = 0
        self.closed = False

    def read(self, block: RunBlock) -> list[StepRows]:
        """Return the parts of a block."""
        self.reads += 1
        return self._lanes[block.lane][block.first]

    def close(self) -> None:
        """Note it."""
        self.closed = True


def source_of(store: MemoryStore, **arguments: Any) -> Source[Any]:
    """Return a Source that reads this store."""
    made: Source[Any] = Source("run", **arguments)
    made._open = lambda: store  # type: ignore[method-assign]
    return made


def identity(rows: StepRows) -> list[tuple[StreamId, int]]:
    """Return which steps these are."""
    return [(rows.streams[stream], seq) for stream, seq in zip(rows.stream.tolist(), rows.seq.tolist(), strict=True)]


def values_are_of(rows: StepRows) -> bool:
    """Return whether each value is that of its seq."""
    same: NDArray[np.bool_] = rows.reward == rows.seq
    if rows.action is not None:
        same &= np.asarray(rows.action) == rows.seq
    if isinstance(rows.observation, np.ndarray):
        same &= rows.observation[:, 0] == rows.seq
    return bool(same.all())

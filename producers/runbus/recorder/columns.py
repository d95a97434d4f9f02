"""From rows, as the loop appended them, to the columns of the wire. Runs on the courier's thread."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runbus.recorder.events import FACTS_DTYPE, Block, StepsRecorded
from runbus.schemas.batch import NO_SEED, NO_TICK, BatchHeader, Extra, StepBatch, StepColumns
from runbus.schemas.layout import Layout, pack, unpack


def step_batch(recorded: StepsRecorded, *, dropped: int | None = None, sent_at: int = 0) -> StepBatch:
    """Return the wire's batch. `dropped` defaults to the stream's count of now; `sent_at` is microseconds."""
    id_ = recorded.tally.id
    header = BatchHeader(
        run_id=id_.run_id,
        agent_id=id_.agent_id,
        attempt=id_.attempt,
        first_seq=recorded.first_seq,
        count=recorded.count,
        dropped=recorded.tally.dropped if dropped is None else dropped,
        sent_at=sent_at,
        action=recorded.action,
        observation=recorded.observation,
    )
    columns, action, observation = _of_blocks(recorded) if recorded.blocks else _of_rows(recorded)
    infos = recorded.infos
    return StepBatch(
        header=header,
        columns=columns,
        action=action,
        observation=observation,
        extras=tuple(_extra(name, values) for name, values in recorded.extras.items()),
        info=tuple(infos.get(i, "") for i in range(recorded.count)) if infos else (),
    )


def _of_rows(recorded: StepsRecorded) -> tuple[StepColumns, bytes, bytes]:
    rows = recorded.rows
    facts = np.frombuffer(rows.facts, FACTS_DTYPE)
    columns = StepColumns(
        env=facts["env"],
        episode=facts["episode"],
        step=facts["step"],
        ts=facts["ts"] // 1000,
        reward=facts["reward"],
        terminated=facts["terminated"],
        truncated=facts["truncated"],
        tick=_ticks(facts["tick"]),
        seed=_seeds(recorded),
    )
    return columns, pack(recorded.action, rows.actions), pack(recorded.observation, rows.observations)


def _of_blocks(recorded: StepsRecorded) -> tuple[StepColumns, bytes, bytes]:
    blocks = recorded.blocks
    counts = [block.size for block in blocks]

    def joined(name: str, dtype: str) -> NDArray[Any]:
        return np.frombuffer(b"".join([getattr(block, name) for block in blocks]), dtype)

    columns = StepColumns(
        env=joined("env", "<i4"),
        episode=joined("episode", "<i8"),
        step=joined("step", "<i4"),
        ts=np.repeat(np.array([block.ts // 1000 for block in blocks], np.int64), counts),
        reward=joined("reward", "<f8"),
        terminated=joined("terminated", "|u1"),
        truncated=joined("truncated", "|u1"),
        tick=_ticks(np.repeat(np.array([block.tick for block in blocks], np.int64), counts)),
        seed=_seeds(recorded),
    )
    return columns, _values(recorded.action, blocks, "action"), _values(recorded.observation, blocks, "observation")


def _values(layout: Layout, blocks: list[Block], name: str) -> bytes:
    """Join the blocks' values; a block without any (the action of a reset) is zeros."""
    if not layout.recorded:
        return b""
    return b"".join([getattr(block, name) or bytes(layout.width * block.size) for block in blocks])


def _ticks(ticks: NDArray[np.int64]) -> NDArray[np.int64] | None:
    return ticks if bool((ticks != NO_TICK).any()) else None


def _seeds(recorded: StepsRecorded) -> NDArray[np.int64] | None:
    if not recorded.seeds:
        return None
    seeds = np.full(recorded.count, NO_SEED, np.int64)
    seeds[list(recorded.seeds)] = list(recorded.seeds.values())
    return seeds


def _extra(name: str, values: Any) -> Extra:  # noqa: ANN401 - Mapping[int, float], ascending
    rows = np.fromiter(values, np.uint32, len(values))
    return Extra(name, rows, np.fromiter(values.values(), np.float64, len(values)))


# --- splitting ------------------------------------------------------------------------------------------------


def halves(batch: StepBatch) -> tuple[StepBatch, StepBatch]:
    """Return the first and the second half of a batch of two or more steps."""
    middle = batch.header.count // 2
    return _part(batch, 0, middle), _part(batch, middle, batch.header.count)


def _part(batch: StepBatch, start: int, stop: int) -> StepBatch:
    h, c = batch.header, batch.columns
    header = replace(h, first_seq=h.first_seq + start, count=stop - start)
    names = ("env", "episode", "step", "ts", "reward", "terminated", "truncated")
    columns = StepColumns(
        **{name: getattr(c, name)[start:stop] for name in names},
        tick=None if c.tick is None else c.tick[start:stop],
        seed=None if c.seed is None else c.seed[start:stop],
    )
    return StepBatch(
        header=header,
        columns=columns,
        action=_part_of_column(h.action, batch.action, h.count, start, stop),
        observation=_part_of_column(h.observation, batch.observation, h.count, start, stop),
        extras=tuple(e for e in (_part_of_extra(e, start, stop) for e in batch.extras) if e.rows.size),
        info=batch.info[start:stop],
    )


def _part_of_column(layout: Layout, column: bytes, count: int, start: int, stop: int) -> bytes:
    if layout.width >= 0:
        return column[layout.width * start : layout.width * stop] if layout.recorded else b""
    return pack(layout, unpack(layout, column, count)[start:stop])


def _part_of_extra(extra: Extra, start: int, stop: int) -> Extra:
    inside = (extra.rows >= start) & (extra.rows < stop)
    return Extra(extra.name, extra.rows[inside] - np.uint32(start), extra.values[inside])

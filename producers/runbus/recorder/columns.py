"""Holds rows as the loop appends them, and turns them into columns on the courier's thread."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from runbus.recorder.row_words import dense
from runbus.schemas.batch import NO_SEED, NO_TICK, StepColumns
from runbus.schemas.layout import Layout, pack


class Block(NamedTuple):
    """One call of a vector environment: `size` rows, each column already as bytes of its dtype."""

    size: int
    ts: int
    tick: int
    env: bytes
    episode: bytes
    step: bytes
    reward: bytes
    terminated: bytes
    truncated: bytes
    action: bytes
    observation: bytes

    def slice(self, start: int, stop: int) -> Block:
        """Return the rows [start, stop)."""

        def cut(column: bytes) -> bytes:
            width = len(column) // self.size
            return column[start * width : stop * width]

        columns = {name: cut(getattr(self, name)) for name in self._fields[3:]}
        return Block(stop - start, self.ts, self.tick, **columns)


class BlockNotes(NamedTuple):
    """What is said about some rows of a block.

    Attributes:
        seeds, infos, labels: by index in the block.
        absent: ABSENT_OBSERVATION and ABSENT_ACTION of the rows without these values, by index in the block.
        marks: what rows are without: by name, then by index in the block.
        extras: by name, a number for each row of the block.
    """

    seeds: Mapping[int, int] = MappingProxyType({})
    infos: Mapping[int, str] = MappingProxyType({})
    labels: Mapping[int, Mapping[str, str]] = MappingProxyType({})
    absent: Mapping[int, int] = MappingProxyType({})
    marks: Mapping[str, Mapping[int, float]] = MappingProxyType({})
    extras: Mapping[str, NDArray[np.float64]] = MappingProxyType({})

    def slice(self, start: int, stop: int) -> BlockNotes:
        """Return what is said about the rows from `start` to `stop`."""
        marks = {name: _between(rows, start, stop) for name, rows in self.marks.items()}
        return BlockNotes(
            seeds=_between(self.seeds, start, stop),
            infos=_between(self.infos, start, stop),
            labels=_between(self.labels, start, stop),
            absent=_between(self.absent, start, stop),
            marks={name: rows for name, rows in marks.items() if rows},
            extras={name: values[start:stop] for name, values in self.extras.items()},
        )


NO_NOTES = BlockNotes()
V = TypeVar("V")


def _between(rows: Mapping[int, V], start: int, stop: int) -> dict[int, V]:
    return {row - start: value for row, value in rows.items() if start <= row < stop}


_INT64 = range(NO_SEED + 1, 2**63)
_DECIMAL_BITS = 14_000  # Python makes no decimal text of more than 4,300 digits

#: the numbers of one row: env, episode, step, time in nanoseconds, reward, terminated, truncated, tick
FACTS = struct.Struct("<iqiqd??q")
FACTS_DTYPE = np.dtype(
    [
        ("env", "<i4"),
        ("episode", "<i8"),
        ("step", "<i4"),
        ("ts", "<i8"),
        ("reward", "<f8"),
        ("terminated", "|u1"),
        ("truncated", "|u1"),
        ("tick", "<i8"),
    ]
)


@dataclass(slots=True)
class StepRows:
    """Rows of single steps: `facts` is FACTS after FACTS; an action is empty in the row of a reset."""

    facts: bytearray = field(default_factory=bytearray)
    actions: list[bytes] = field(default_factory=list)
    observations: list[bytes] = field(default_factory=list)


def columns_of_rows(
    rows: StepRows, action: Layout, observation: Layout, seeds: Mapping[int, int]
) -> tuple[StepColumns, bytes, bytes]:
    """Return the columns of rows of single steps: numbers, actions, observations. `seeds` by index of the row."""
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
        seed=_seeds(seeds, len(facts)),
    )
    return columns, pack(action, rows.actions), pack(observation, rows.observations)


def columns_of_blocks(
    blocks: list[Block], action: Layout, observation: Layout, seeds: Mapping[int, int]
) -> tuple[StepColumns, bytes, bytes]:
    """Return the columns of blocks of a vector environment, like `columns_of_rows`."""
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
        seed=_seeds(seeds, sum(counts)),
    )
    return columns, _values(action, blocks, "action"), _values(observation, blocks, "observation")


def _values(layout: Layout, blocks: list[Block], name: str) -> bytes:
    """Join the blocks' values; a block without any (the action of a reset) is zeros."""
    if not layout.recorded:
        return b""
    return b"".join([getattr(block, name) or bytes(layout.width * block.size) for block in blocks])


def _ticks(ticks: NDArray[np.int64]) -> NDArray[np.int64] | None:
    return ticks if bool((ticks != NO_TICK).any()) else None


def _seeds(seeds: Mapping[int, int], count: int) -> NDArray[np.int64] | None:
    return dense({row: seed for row, seed in seeds.items() if seed in _INT64}, count, NO_SEED, np.int64)


def large_seeds(seeds: Mapping[int, int], count: int) -> tuple[str, ...]:
    """Return the column of the seeds that are no int64, as text; empty if there is none."""
    large = {row: _digits(seed) for row, seed in seeds.items() if seed not in _INT64}
    return tuple(large.get(row, "") for row in range(count)) if large else ()


def _digits(seed: int) -> str:
    return str(seed) if seed.bit_length() < _DECIMAL_BITS else hex(seed)

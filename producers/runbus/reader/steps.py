"""Defines the event of `steps`: consecutive steps of one stream, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from runbus.kafka.topics import STEPS
from runbus.reader.batch_event import BatchEvent
from runbus.reader.events import At, LogEvent, register
from runbus.reader.values import Column, column_of
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.batch import (
    ABSENT_ACTION,
    ABSENT_OBSERVATION,
    KINDS,
    NO_SEED,
    STATUSES,
    StepBatch,
    StepColumns,
    decode,
)
from runbus.schemas.layout import Layout


@dataclass(frozen=True)
class Steps(BatchEvent):
    """Consecutive steps of one stream; see BatchEvent."""

    batch: StepBatch

    @property
    def agent_id(self) -> str:
        """Name of the agent."""
        return self.batch.header.agent_id

    # --- columns ------------------------------------------------------------------------------------------------

    @property
    def columns(self) -> StepColumns:
        """env, episode, step, ts, tick and the other numeric columns; each is documented there."""
        return self.batch.columns

    @property
    def env(self) -> NDArray[np.int32]:
        """Index in a vector environment."""
        return self.batch.columns.env

    @property
    def episode(self) -> NDArray[np.int64]:
        """Index of the episode within its env."""
        return self.batch.columns.episode

    @property
    def step(self) -> NDArray[np.int32]:
        """0 = the reset, then 1 to T."""
        return self.batch.columns.step

    @property
    def ts(self) -> NDArray[np.int64]:
        """The agent's wall time, microseconds since the epoch."""
        return self.batch.columns.ts

    @property
    def reward(self) -> NDArray[np.float64]:
        """0 on a reset."""
        return self.batch.columns.reward

    @property
    def terminated(self) -> NDArray[np.bool_]:
        """The episode ended in a terminal state."""
        flags: NDArray[np.bool_] = self.batch.columns.terminated.view(np.bool_)
        return flags

    @property
    def truncated(self) -> NDArray[np.bool_]:
        """The episode was cut off."""
        flags: NDArray[np.bool_] = self.batch.columns.truncated.view(np.bool_)
        return flags

    # --- actions and observations -------------------------------------------------------------------------------

    @property
    def action_layout(self) -> Layout:
        """dtype and shape of one action."""
        return self.batch.header.action

    @property
    def observation_layout(self) -> Layout:
        """dtype and shape of one observation."""
        return self.batch.header.observation

    @cached_property
    def action(self) -> Column:
        """The actions: see Column. The row of a reset has none: its array is zeros there, its text empty."""
        return column_of(self.batch.header.action, self.batch.action, len(self))

    @cached_property
    def observation(self) -> Column:
        """The observations: see Column."""
        return column_of(self.batch.header.observation, self.batch.observation, len(self))

    @property
    def has_action(self) -> NDArray[np.bool_]:
        """Where `action` means something: not on a reset, not where it is absent, nowhere if none is recorded."""
        acted: NDArray[np.bool_] = self._has(self.batch.header.action, ABSENT_ACTION) & (self.step != 0)
        return acted

    @property
    def has_observation(self) -> NDArray[np.bool_]:
        """Where `observation` means something."""
        return self._has(self.batch.header.observation, ABSENT_OBSERVATION)

    def _has(self, layout: Layout, bit: int) -> NDArray[np.bool_]:
        absent = self.batch.columns.absent
        if absent is None or not layout.recorded:
            return np.full(len(self), layout.recorded)
        there: NDArray[np.bool_] = absent & np.uint8(bit) == 0
        return there

    # --- words and numbers that only some steps have ------------------------------------------------------------

    @property
    def logged(self) -> Mapping[str, tuple[NDArray[np.uint32], NDArray[np.float64]]]:
        """Name -> (rows, numbers): what was logged. A row is there as often as it has numbers, in their order."""
        return {extra.name: (extra.rows, extra.values) for extra in self.batch.extras}

    @property
    def labels(self) -> Mapping[str, Mapping[int, str]]:
        """Name -> row -> text: labels of episodes, on the row of their reset."""
        return {label.name: dict(zip(label.rows.tolist(), label.values, strict=True)) for label in self.batch.labels}

    @property
    def info(self) -> Sequence[str]:
        """JSON or "" a step; empty = none has any."""
        return self.batch.info

    @property
    def stop(self) -> Sequence[str]:
        """Why an episode stopped, or "" a step; empty = none says so."""
        return self.batch.stop

    @property
    def kind(self) -> Sequence[str]:
        """Who acted, a word or "" a step; empty = none says so. A word of a later version is its number."""
        return _words(self.batch.columns.kind, KINDS)

    @property
    def status(self) -> Sequence[str]:
        """How it went, likewise."""
        return _words(self.batch.columns.status, STATUSES)

    @property
    def seeds(self) -> Mapping[int, int]:
        """Row -> seed of a reset, an integer of any size."""
        seed = self.batch.columns.seed
        found = {} if seed is None else {int(row): int(seed[row]) for row in np.flatnonzero(seed != NO_SEED)}
        return found | {row: int(text, 0) for row, text in enumerate(self.batch.large_seeds) if text}


def _words(numbers: NDArray[np.uint8] | None, words: Sequence[str]) -> Sequence[str]:
    if numbers is None:
        return ()
    return [words[n] if n < len(words) else str(n) for n in numbers.tolist()]


def _steps(at: At, body: bytes, writer: AvroSchema) -> LogEvent:
    return Steps(at, decode(body, writer))


register(STEPS, _steps)

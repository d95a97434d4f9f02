"""Streams for the tests of the finaliser: rows to batches, and a core with a clock that can be stopped and restored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from runbus.episodes.finaliser import EpisodesCore
from runbus.episodes.policy import FinaliserPolicy
from runbus.kafka.model import StreamId
from runbus.schemas.batch import BatchHeader, Extra, Label, StepBatch, StepColumns
from runbus.schemas.events import EpisodeFinalized, RunEvent
from runbus.streams.api import At, Effects

STREAM = StreamId("run", "agent", 1)
START_MS = 1_000_000


class Row(NamedTuple):
    """One row: step 0 is a reset."""

    env: int
    episode: int
    step: int
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    extra: float | None = None
    labels: tuple[tuple[str, str], ...] = ()
    stop: str = ""
    twice: bool = False  # the extra was logged twice


def episode(index: int, steps: int, *, env: int = 0, over: str = "terminated") -> list[Row]:
    """Return a reset and `steps` steps of reward 0.5; `over` says how it ends, "" = it does not."""
    rows = [Row(env, index, 0)]
    rows += [Row(env, index, step, 0.5) for step in range(1, steps + 1)]
    rows[-1] = rows[-1]._replace(terminated=over == "terminated", truncated=over == "truncated")
    return rows


def batch(rows: Sequence[Row], first_seq: int = 0, stream: StreamId = STREAM) -> StepBatch:
    """Return rows as a batch; a row's time is its seq in milliseconds."""
    columns = StepColumns(
        env=np.array([row.env for row in rows], "<i4"),
        episode=np.array([row.episode for row in rows], "<i8"),
        step=np.array([row.step for row in rows], "<i4"),
        ts=(np.arange(len(rows), dtype="<i8") + first_seq) * 1000,
        reward=np.array([row.reward for row in rows], "<f8"),
        terminated=np.array([row.terminated for row in rows], "u1"),
        truncated=np.array([row.truncated for row in rows], "u1"),
    )
    named = [(i, row.extra) for i, row in enumerate(rows) if row.extra is not None for _ in range(1 + row.twice)]
    extra = Extra("loss", np.array([i for i, _ in named], "<u4"), np.array([v for _, v in named], "<f8"))
    return StepBatch(
        BatchHeader(*stream, first_seq, len(rows), 0, 0),
        columns,
        extras=(extra,) if named else (),
        labels=labels(rows),
        stop=tuple(row.stop for row in rows) if any(row.stop for row in rows) else (),
    )


def labels(rows: Sequence[Row]) -> tuple[Label, ...]:
    """Return the labels of rows by name."""
    found: dict[str, dict[int, str]] = {}
    for index, row in enumerate(rows):
        for name, text in row.labels:
            found.setdefault(name, {})[index] = text
    return tuple(Label(name, np.array(list(at), "<u4"), tuple(at.values())) for name, at in found.items())


def finished(produced: int, stream: StreamId = STREAM) -> RunEvent:
    """Return a FINISHED event."""
    run_id, agent_id, attempt = stream
    return RunEvent(
        run_id=run_id, agent_id=agent_id, attempt=attempt, kind="FINISHED", sent_at=0, started_at=0, produced=produced
    )


@dataclass
class EpisodesSetup:
    """A core with a clock, and everything that it said."""

    policy: FinaliserPolicy = field(
        default_factory=lambda: FinaliserPolicy(idle_ms=10_000, grace_ms=1000, remember_ms=50_000)
    )
    now_ms: int = START_MS
    emitted: list[EpisodeFinalized] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    refused_steps: int = 0
    state: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start with an empty core."""
        self.core = EpisodesCore(self.policy)
        self._ends: list[tuple[RunEvent, int]] = []

    def send(self, rows: Sequence[Row], first_seq: int = 0, stream: StreamId = STREAM) -> list[EpisodeFinalized]:
        """Let a batch arrive now; return what is emitted."""
        return self.take(batch(rows, first_seq, stream))

    def take(self, value: StepBatch) -> list[EpisodeFinalized]:
        """Let a batch arrive now; return what is emitted."""
        return self._note(self.core.apply(value, self.at))

    def finish(self, produced: int, stream: StreamId = STREAM) -> list[EpisodeFinalized]:
        """Let a FINISHED event arrive now; return what is emitted."""
        self._ends.append((finished(produced, stream), self.now_ms))
        return self._note(self.core.end(*self._ends[-1], self.at))

    def wait(self, milliseconds: int) -> list[EpisodeFinalized]:
        """Let stream time pass; return what is emitted."""
        self.now_ms += milliseconds
        return self._note(self.core.tick(self.at))

    def commit(self) -> None:
        """Keep the changes of the state."""
        for change in self.core.changes():
            if change.value is None:
                self.state.pop(change.key, None)
            else:
                self.state[change.key] = change.value

    def restart(self) -> None:
        """Go on with a core that is restored from the state, and gets every FINISHED event again."""
        self.commit()
        self.core = EpisodesCore(self.policy)
        for key, value in self.state.items():
            self.core.restore(key, value)
        for event, appended_ms in self._ends:
            self._note(self.core.end(event, appended_ms, self.at))

    @property
    def at(self) -> At:
        """Now."""
        return At(0, self.now_ms, 0)

    def _note(self, effects: Effects) -> list[EpisodeFinalized]:
        events = [emission.event for emission in effects.emissions]
        found = [event for event in events if isinstance(event, EpisodeFinalized)]
        assert len(found) == len(events)
        self.emitted += found
        self.refused_steps += effects.refused_steps
        self.refused += [effects.refused] if effects.refused else []
        return found

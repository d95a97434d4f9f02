"""What recorders publish on their bus: the start of a stream, closed batches of steps, its end."""

from __future__ import annotations

import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from runbus.kafka.model import StreamId
from runbus.schemas.batch import StepBatch
from runbus.schemas.events import Outcome, RunEvent
from runbus.schemas.layout import Layout


class Tally:
    """What became of a stream's steps. Counts only grow; thread safe; its lock is never held while taking another."""

    def __init__(self, id_: StreamId) -> None:
        self.id = id_
        self.produced = 0  # written by the stream when it closes a batch: steps that were published or given up
        self._dropped = 0
        self._delivered = 0
        self._lock = threading.Lock()

    def drop(self, count: int) -> None:
        """Count steps that were given up."""
        with self._lock:
            self._dropped += count

    def deliver(self, count: int) -> None:
        """Count steps that Kafka acknowledged."""
        with self._lock:
            self._delivered += count

    @property
    def dropped(self) -> int:
        """Steps that were given up so far."""
        return self._dropped

    @property
    def delivered(self) -> int:
        """Steps that Kafka acknowledged so far."""
        return self._delivered

    @property
    def ended(self) -> tuple[int, int]:
        """Steps delivered and dropped, both of one moment."""
        with self._lock:
            return self._delivered, self._dropped

    @property
    def in_flight(self) -> int:
        """Published steps of which neither is known yet."""
        with self._lock:
            return self.produced - self._dropped - self._delivered


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
class Rows:
    """Rows of single steps: `facts` is FACTS after FACTS; an action is empty in the row of a reset."""

    facts: bytearray = field(default_factory=bytearray)
    actions: list[bytes] = field(default_factory=list)
    observations: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class StepsRecorded:
    """A closed batch, as it was recorded; `columns.step_batch` makes the wire's columns of it.

    Attributes:
        rows, blocks: either rows of single steps, or blocks of a vector environment.
        seeds, infos, extras: by index of the row in the batch; extras by name first.
        nbytes: memory it holds, roughly.
        closed_at: monotonic seconds.
    """

    tally: Tally
    first_seq: int
    count: int
    action: Layout
    observation: Layout
    rows: Rows
    blocks: list[Block]
    seeds: Mapping[int, int]
    infos: Mapping[int, str]
    extras: Mapping[str, Mapping[int, float]]
    nbytes: int
    closed_at: float

    def batch(self) -> StepBatch:
        """Return the batch in columns (transposed at each call)."""
        from runbus.recorder.columns import step_batch

        return step_batch(self)


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """A stream begins."""

    tally: Tally
    event: RunEvent


@dataclass(frozen=True, slots=True)
class StreamFinished:
    """A stream ended. Its counts are final once every step of it is delivered or dropped."""

    tally: Tally
    event: RunEvent
    outcome: Outcome
    error: str
    episodes: int
    summary: str
    produced: int = field(default=0)

    def final(self, now_us: int) -> RunEvent:
        """Return the event with the counts of this moment."""
        return replace(
            self.event,
            kind="FINISHED",
            sent_at=now_us,
            produced=self.produced,
            dropped=self.tally.dropped,
            episodes=self.episodes,
            outcome=self.outcome,
            error=self.error,
            summary=self.summary,
        )


RecorderEvent = StreamStarted | StepsRecorded | StreamFinished

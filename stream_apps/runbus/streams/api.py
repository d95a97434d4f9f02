"""Defines the contract between the core of a stream app and the engine that runs it.

An app has one **core** per partition of `steps`: pure, synchronous, without Kafka, Faust, clocks or threads. The engine
(`engine.py`; `shard.py` is its part without Kafka) reads the log, calls the core, and writes in one Kafka transaction
what the core returned: state changes, emissions, dead letters, and the offset. A core that is called with the same
records in the same order is in the same state and returns the same, whatever was killed in between.

Obligations of a core:

- No call may block, read a clock or keep what it was given (arrays are read-only views of the record).
- No call raises because of a record's content: a record that cannot be used is `Effects.refused`, whole or in part.
- State is bounded; what is given up to stay within the bound is counted.
- A record may be sent again, late or with others of its stream missing: what counts steps keeps their `seq`
  (`runbus.schemas.sequence.SequenceTracker`).
- Everything that must survive a crash is in what `changes` returned; `restore` takes exactly that back. A key is any
  bytes that do not begin with zero.

Not promised to a core: that `end` comes after the last `apply` of its stream, that ticks come at regular times, or that
an emission is written when the call returns. It is written with the next commit; with `delivery="at once"` it may be
written twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from runbus.kafka.stream_apps import AppTopics
from runbus.kafka.topics import Topic
from runbus.kafka.user_apps import user_app
from runbus.schemas.batch import StepBatch
from runbus.schemas.events import Event, RunEvent


@dataclass(frozen=True, slots=True)
class At:
    """The position and the time of a call to a core.

    Attributes:
        offset: of the record in its partition; on a tick the next offset to come.
        watermark_ms: stream time of the partition, milliseconds since the epoch by the **broker's** clock: the newest
            append time that was read. While nothing is left to read it advances with real time; while the app is
            behind it stands still, so a backlog is never taken for silence. It never goes back.
        now_us: the app's wall clock, microseconds since the epoch; only for what people read (`sent_at`).
    """

    offset: int
    watermark_ms: int
    now_us: int


@dataclass(frozen=True, slots=True)
class Emission:
    """One event for the app's topic, under a key: that of its stream, so that the topic has it in the stream's order.

    Attributes:
        topic: the output of the app.
        event: an event of `runbus.schemas`, which is framed; or the value itself, in an encoding of the app's own.
    """

    topic: Topic
    key: bytes
    event: Event | bytes


@dataclass(frozen=True, slots=True)
class Change:
    """One key of the state; `value` None deletes it."""

    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Effects:
    """The results of a call to a core.

    Attributes:
        emissions: in order.
        refused: why this record, or some of its steps, could not be used: the record becomes a dead letter with this
            text as its error. Empty = all of it was used.
        refused_steps: how many steps that concerns.
    """

    emissions: tuple[Emission, ...] = ()
    refused: str = ""
    refused_steps: int = 0


NOTHING = Effects()


class Core(Protocol):
    """The state of one app for one partition of `steps`, and what changes it."""

    def restore(self, key: bytes, value: bytes) -> None:
        """Take one entry of the state back, before any other call. Raises ValueError if it is no such entry."""

    def apply(self, batch: StepBatch, at: At) -> Effects:
        """Take one record; its columns agree with its header (`runbus.schemas.batch.decode` checked that)."""

    def end(self, event: RunEvent, appended_ms: int, at: At) -> Effects:
        """Take a FINISHED event of a stream of this partition.

        It comes from another topic, so it may come before the stream's steps, after them, and again after a restart.

        Args:
            appended_ms: when the broker took it. The recorder sends it after its last step was acknowledged: once the
                watermark is past this time (and a second for brokers whose clocks differ), no more steps will come.
        """

    def tick(self, at: At) -> Effects:
        """Let time pass: called several times a second, and before `apply` whenever the watermark moved."""

    def changes(self) -> list[Change]:
        """Return the entries of the state that differ from what was returned before, and forget that they do."""

    def size(self) -> dict[str, int]:
        """Return counts of what is held and was given up, by name (`streams`, `open_episodes`, ...), for metrics."""


Delivery = Literal["transaction", "at once"]


@dataclass(frozen=True, slots=True)
class StreamApp:
    """One stream app.

    Attributes:
        topics: its name, and its topics.
        new_core: makes the core of a partition.
        delivery: "transaction" = emissions become visible with the offset, exactly once; "at once" = they are sent when
            they are made and may be repeated after a crash.
        commit_seconds: the longest time between two commits of a partition that has something to commit.
    """

    topics: AppTopics
    new_core: CoreMaker
    delivery: Delivery
    commit_seconds: float

    @property
    def kind(self) -> str:
        """The kind of its heartbeats, and its name everywhere."""
        return self.topics.name

    @property
    def state(self) -> Topic:
        """The topic of its state."""
        return self.topics.state

    @property
    def output(self) -> Topic:
        """The topic of its events."""
        return self.topics.output


class CoreMaker(Protocol):
    """Makes the core of a partition."""

    def __call__(self, source: str, /) -> Core:
        """Return an empty core; `source` is the partition as people read it, `runbus.steps:3`."""


def stream_app(
    name: str, new_core: CoreMaker, *, delivery: Delivery = "transaction", commit_seconds: float = 0.2
) -> StreamApp:
    """Return an app of your own, for `runbus stream-app MODULE:APP`.

    Args:
        name: of the app, its results' topic, its group and its user; its state is in `<name>-state-changelog`.
        new_core: makes the core of a partition.
        delivery, commit_seconds: see StreamApp; RUNBUS_STREAMS_COMMIT_SECONDS comes first.

    Raises:
        ConfigError: nothing may be called so.
    """
    return StreamApp(user_app(name), new_core, delivery, commit_seconds)


@dataclass(slots=True)
class AppMetrics:
    """Counts of one process since it started; shown by heartbeats and metrics."""

    records: int = 0
    steps: int = 0
    emitted: int = 0
    dead_letters: int = 0
    refused_steps: int = 0
    commits: int = 0
    skipped_offsets: int = 0

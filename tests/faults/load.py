"""A seeded log for the fault suites: many streams, and every irregularity a log can have, as a list of records to send.

The same seed gives the same list. What must come out of it is no part of it: `reference.py` computes that from the log.
Rewards are multiples of 0.5, so that a sum is exact whatever the order of its terms.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from runbus.kafka.topics import run_event_key, stream_key
from runbus.schemas.avsc import schema
from runbus.schemas.batch import NO_TICK, BatchHeader, Extra, StepBatch, StepColumns, encode
from runbus.schemas.codec import SINGLE_OBJECT_MARK, Codec
from runbus.schemas.events import Heartbeat, RunEvent
from runbus.schemas.layout import Layout

START_US = 1_790_000_000_000_000
HOUR_US = 3_600_000_000
SMALLEST, LARGEST = 16, 256  # steps of a batch

#: How often a batch is ... (of all batches of a stream that is not `tidy`)
SENT_TWICE, SENT_LATER, LOST, OVERLAPPING = 0.04, 0.02, 0.02, 0.03


@dataclass(frozen=True, slots=True)
class Sent:
    """One record to send.

    Attributes:
        topic: without the prefix.
        after_all: everything before it must be acknowledged first, as the recorder does it with FINISHED.
        error: what the dead letter that it must become says; empty = it becomes none.
    """

    topic: str
    key: bytes
    value: bytes | None
    after_all: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """One stream: who it is and how it behaves.

    Attributes:
        steps: how many rows it writes, resets included.
        ticks: whether it belongs to a multi-agent world.
        skew_us: how wrong its clock is.
        tidy: nothing is lost, late or repeated.
        finishes: whether it says FINISHED at its end; otherwise it falls silent.
    """

    run: str
    agent: str
    attempt: int
    steps: int
    envs: int = 1
    ticks: bool = False
    skew_us: int = 0
    tidy: bool = False
    finishes: bool = True
    longest: int = 400

    @property
    def key(self) -> bytes:
        """The Kafka key."""
        return stream_key(self.run, self.agent)


@dataclass(frozen=True, slots=True)
class Load:
    """The records in the order in which they are sent, and how many steps the log holds at least once."""

    records: list[Sent]
    steps: int
    batches: int

    @property
    def poison(self) -> list[Sent]:
        """What must end as dead letters."""
        return [sent for sent in self.records if sent.error]


Row = tuple[int, int, int, float, int, int]  # env, episode, step, reward, terminated, truncated


@dataclass(slots=True)
class _Env:
    """One environment: rows of one episode after the other, with next-step autoreset."""

    rng: random.Random
    index: int
    longest: int
    episode: int = -1
    step: int = 0
    length: int = 0

    def row(self) -> Row:
        """Return the next row: a reset, or a step."""
        if self.episode < 0 or self.step >= self.length:
            self.episode, self.step = self.episode + 1, 0
            self.length = self.rng.randint(1, self.longest)
            return (self.index, self.episode, 0, 0.0, 0, 0)
        self.step += 1
        ending = self.rng.choice(("terminated", "terminated", "truncated", "both", "abandoned"))
        last = self.step == self.length
        return (
            self.index,
            self.episode,
            self.step,
            self.rng.randint(-4, 6) * 0.5,
            int(last and ending in ("terminated", "both")),
            int(last and ending in ("truncated", "both")),
        )


@dataclass(slots=True)
class _Stream:
    """What one recorder instance writes, batch by batch."""

    shape: Shape
    rng: random.Random
    envs: list[_Env] = field(default_factory=list)
    seq: int = 0
    dropped: int = 0
    previous: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.envs = [_Env(self.rng, index, self.shape.longest) for index in range(self.shape.envs)]

    @property
    def ended(self) -> bool:
        """Whether it has written all it will."""
        return self.seq >= self.shape.steps

    def batch(self) -> Sent | None:
        """Return the next batch, None where the stream gave it up (and counts it from then on)."""
        count = min(self.rng.randint(SMALLEST, LARGEST), self.shape.steps - self.seq)
        rows = [self.envs[(self.seq + i) % len(self.envs)].row() for i in range(count)]
        first, again = self.seq, 0
        self.seq += count
        dice = 1.0 if self.shape.tidy else self.rng.random()
        if dice < LOST:
            self.dropped += count
            self.previous = []
            return None
        if dice < LOST + OVERLAPPING and self.previous:
            again = min(len(self.previous), self.rng.randint(1, SMALLEST))
        sent = self._sent(first - again, [*self.previous[len(self.previous) - again :], *rows])
        self.previous = rows
        return sent

    def _sent(self, first: int, rows: list[Row]) -> Sent:
        return Sent("steps", self.shape.key, framed("StepBatch", encode(self._step_batch(first, rows))))

    def _step_batch(self, first: int, rows: list[Row]) -> StepBatch:
        env, episode, step, reward, terminated, truncated = (np.array(column) for column in zip(*rows, strict=True))
        count, shape = len(rows), self.shape
        seq = np.arange(first, first + count)
        columns = StepColumns(
            env=env.astype("<i4"),
            episode=episode.astype("<i8"),
            step=step.astype("<i4"),
            ts=(START_US + shape.skew_us + seq * 20_000).astype("<i8"),
            reward=reward.astype("<f8"),
            terminated=terminated.astype("u1"),
            truncated=truncated.astype("u1"),
            tick=np.where(step > 0, seq, NO_TICK).astype("<i8") if shape.ticks else None,
        )
        logged = seq[seq % 5 == 0]
        extras = (Extra("loss", (logged - first).astype("<u4"), (logged % 8 * 0.25).astype("<f8")),)
        header = BatchHeader(
            shape.run,
            shape.agent,
            shape.attempt,
            first_seq=first,
            count=count,
            dropped=self.dropped,
            sent_at=START_US + int(seq[-1]) * 20_000,
            action=Layout("<i8", (), 8),
            observation=Layout("<f4", (4,), 16),
        )
        observation = np.repeat(seq, 4).astype("<f4").tobytes()
        return StepBatch(header, columns, seq.astype("<i8").tobytes(), observation, extras)

    def finished(self) -> Sent:
        """Return the event that says that the stream is over."""
        shape = self.shape
        event = RunEvent(
            run_id=shape.run,
            agent_id=shape.agent,
            attempt=shape.attempt,
            kind="FINISHED",
            sent_at=START_US + shape.skew_us + self.seq * 20_000,
            started_at=shape.attempt,
            produced=self.seq,
            dropped=self.dropped,
            episodes=sum(env.episode + 1 for env in self.envs),
            outcome="completed",
        )
        key = run_event_key(shape.run, shape.agent, shape.attempt)
        return Sent("runs", key, framed("RunEvent", event.encode()), after_all=True)


def framed(record: str, body: bytes) -> bytes:
    """Return the Kafka value of an Avro body."""
    return Codec().frame("", schema(record), body)


def poison(good: Sent) -> list[Sent]:
    """Return records that nobody can use, under the key of a good one."""
    value = good.value or b""
    beat = Heartbeat(component_id="x", kind="sink", sent_at=1, started_at=1, version="0")
    bad = [
        (b"\xde\xad\xbe\xef garbage", "neither Avro single-object encoding nor Confluent framing"),
        (None, "no value"),
        (SINGLE_OBJECT_MARK + b"\x01" * 8 + value[10:], "fingerprint 0101010101010101"),
        (value[: len(value) // 2], "StepBatch"),
        (value + b"\x00", "StepBatch"),
        (framed("Heartbeat", beat.encode()), "a Heartbeat where a StepBatch is expected"),
    ]
    return [replace(good, value=value, error=error) for value, error in bad]


def shapes(seed: int, steps: int) -> list[Shape]:
    """Return the streams of a load: single, vector, several agents, several attempts, wrong clocks; 24 of them."""
    each, first = max(round(steps / 24 * 1.1), LARGEST), START_US  # some are lost, and a reset is no step
    run = f"seed-{seed}"
    singles = [Shape(f"{run}-single-{i}", "agent-0", first, each, tidy=i < 2, finishes=i % 2 == 0) for i in range(8)]
    vectors = [
        Shape(f"{run}-vector-{n}", "agent-0", first, each, envs=n, longest=80, finishes=n % 2 == 0) for n in range(2, 8)
    ]
    team = [Shape(f"{run}-team", f"agent-{i}", first, each, ticks=True, longest=60) for i in range(4)]
    attempts = [Shape(f"{run}-again", "agent-0", first + i, each, finishes=i == 1) for i in range(2)]
    wrong = [
        Shape(f"{run}-clock-{i}", "agent-0", first, each, skew_us=skew, finishes=False)
        for i, skew in enumerate((HOUR_US, -HOUR_US))
    ]
    short = [Shape(f"{run}-short-{i}", "agent-0", first, each, longest=3, finishes=i == 0) for i in range(2)]
    return [*singles, *vectors, *team, *attempts, *wrong, *short]


def make_load(seed: int, steps: int) -> Load:
    """Return the load of a seed with at least that many steps."""
    rng = random.Random(seed)
    streams = [_Stream(shape, random.Random(f"{seed}/{i}")) for i, shape in enumerate(shapes(seed, steps))]
    records = list(_interleaved(rng, streams))
    batches = [i for i, sent in enumerate(records) if sent.topic == "steps"]
    for at in sorted(rng.sample(batches, 3), reverse=True):
        records[at:at] = poison(records[at])
    return Load(records, sum(stream.seq - stream.dropped for stream in streams), len(batches))


def _interleaved(rng: random.Random, streams: list[_Stream]) -> Iterator[Sent]:
    """Yield the streams' batches in a random interleaving, with repetitions and late ones, and FINISHED last."""
    waiting: list[tuple[int, Sent]] = []  # (when, what): batches that come again or come late
    open_streams, number = list(streams), 0
    while open_streams:
        stream = rng.choice(open_streams)
        sent = stream.batch()
        number += 1
        dice = 1.0 if stream.shape.tidy else rng.random()
        if sent is not None and dice < SENT_LATER:
            waiting.append((number + rng.randint(10, 60), sent))
        elif sent is not None:
            yield sent
            if dice < SENT_LATER + SENT_TWICE:
                waiting.append((number + rng.choice((0, 1, 40, 200)), sent))
        if stream.ended:
            open_streams.remove(stream)
            # FINISHED comes after the last acknowledged step, so nothing of the stream may still be on its way
            yield from (late for _, late in waiting if late.key == stream.shape.key)
            waiting = [(when, late) for when, late in waiting if late.key != stream.shape.key]
            if stream.shape.finishes:
                yield stream.finished()
        yield from (late for when, late in waiting if when <= number)
        waiting = [(when, late) for when, late in waiting if when > number]
    yield from (late for _, late in waiting)


__all__ = ["HOUR_US", "START_US", "Load", "Sent", "Shape", "framed", "make_load", "poison", "shapes"]

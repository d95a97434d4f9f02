"""Writes what the tests of the reader read, with producers as agents have them."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
from confluent_kafka import Producer

from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import stream_key
from runbus.reader import LogEvent, Reader, Steps
from runbus.schemas.avsc import schema
from runbus.schemas.batch import BatchHeader, StepBatch, encode
from runbus.schemas.codec import Codec
from tests.support.batches import step_columns

RUN, AGENT, ATTEMPT = "run-1", "agent-0", 1_790_000_000_000_000
PATIENCE_S = 60.0


def batch(
    first: int, count: int = 4, *, dropped: int = 0, agent: str = AGENT, run: str = RUN, episode: int = 0
) -> StepBatch:
    """Return the steps `first` and the following ones; each reward is its seq."""
    seq = np.arange(first, first + count)
    header = BatchHeader(run, agent, ATTEMPT, first, count, dropped, ATTEMPT)
    return StepBatch(header, step_columns(seq, ATTEMPT + seq, episode=np.full(count, episode, "<i8")))


class Log:
    """Appends records to the topics of one test, and returns once the broker has them."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._prefix = settings.topic_prefix
        self._producer = Producer({**settings.producer_config(), "log_level": 0})

    def batches(self, *batches: StepBatch) -> None:
        """Append batches, in order."""
        for one in batches:
            value = Codec().frame("", schema("StepBatch"), encode(one))
            self._send("steps", stream_key(one.header.run_id, one.header.agent_id), value)
        self._flush()

    def values(self, topic: str, values: Iterable[tuple[bytes, bytes]]) -> None:
        """Append keys and values as they are."""
        for key, value in values:
            self._send(topic, key, value)
        self._flush()

    def _send(self, topic: str, key: bytes, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(self._prefix + topic, value, key)
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def _flush(self) -> None:
        assert self._producer.flush(30) == 0


def take(reader: Reader, count: int) -> list[LogEvent]:
    """Return the next `count` events."""
    found: list[LogEvent] = []
    end = time.monotonic() + PATIENCE_S
    while len(found) < count:
        assert time.monotonic() < end, f"{len(found)} of {count} events came"
        event = reader.poll(1.0)
        if event is not None:
            found.append(event)
    return found


def steps(events: Iterable[LogEvent]) -> list[Steps]:
    """Return the events, which are all Steps."""
    found = []
    for event in events:
        assert isinstance(event, Steps)
        found.append(event)
    return found


def seqs(events: Iterable[LogEvent]) -> list[int]:
    """Return every seq of Steps, in order."""
    return [seq for event in steps(events) for seq in event.seq.tolist()]

"""Writes streams with gaps, drops and repeats, and knows where each of them lies in the log."""

from __future__ import annotations

import random
import threading
from typing import NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import stream_key
from runbus.schemas.avsc import schema
from runbus.schemas.batch import encode
from runbus.schemas.codec import Codec
from tests.integration.reader.log import batch


class Sent(NamedTuple):
    """One record of the log: what it is, and what a reader has to say of it."""

    agent: str
    first: int
    gap: tuple[int, int] | None
    newly_dropped: int
    repeated: bool


class Traffic:
    """Appends records for as long as it is asked to; the same seed makes the same records."""

    def __init__(self, settings: KafkaSettings, seed: int, agents: int = 6) -> None:
        self._topic = f"{settings.topic_prefix}steps"
        self._producer = Producer({**settings.producer_config(), "log_level": 0, "linger.ms": 1})
        self._random = random.Random(seed)
        self._next = {f"agent-{n}": 0 for n in range(agents)}
        self._dropped = dict.fromkeys(self._next, 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        #: (partition, offset) -> what lies there
        self.sent: dict[tuple[int, int], Sent] = {}

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, once the broker has everything."""
        self._stop.set()
        self._thread.join()
        assert self._producer.flush(30) == 0

    def _run(self) -> None:
        while not self._stop.wait(0.004):
            self._send(self._random.choice(list(self._next)))

    def _send(self, agent: str) -> None:
        gap = None
        dropped = 0
        if self._random.random() < 0.1:
            size = self._random.randint(1, 9)
            gap = (self._next[agent], self._next[agent] + size - 1)
            dropped = size if self._random.random() < 0.5 else 0
            self._next[agent] += size
            self._dropped[agent] += dropped
        first, count = self._next[agent], self._random.randint(1, 8)
        self._next[agent] += count
        self._append(Sent(agent, first, gap, dropped, repeated=False), count)
        if self._random.random() < 0.1:
            self._append(Sent(agent, first, None, 0, repeated=True), count)

    def _append(self, sent: Sent, count: int) -> None:
        value = encode(batch(sent.first, count, agent=sent.agent, dropped=self._dropped[sent.agent]))

        def delivered(error: KafkaError | None, message: Message) -> None:
            assert error is None
            self.sent[message.partition() or 0, message.offset() or 0] = sent

        framed = Codec().frame("", schema("StepBatch"), value)
        self._producer.produce(self._topic, framed, stream_key("run-1", sent.agent), on_delivery=delivered)
        self._producer.poll(0)

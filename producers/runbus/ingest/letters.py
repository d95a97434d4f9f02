"""Sends what no dialect could use to the dead letters: the start of the line, and why."""

from __future__ import annotations

import logging
import time
from typing import Protocol

from confluent_kafka import KafkaException, Producer

from runbus.ingest.lines import START_BYTES, Line
from runbus.kafka.clients import new_ingest_producer
from runbus.kafka.headers import letter_headers
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import DEAD_LETTERS

log = logging.getLogger(__name__)

KIND = "ingest"
#: Letters of one command. A file of another format is one mistake, not a million letters.
MAX_LETTERS = 1000


class Letters(Protocol):
    """Takes lines that could not be used. Never waits and never raises."""

    def put(self, line: Line, source: str, why: str, /) -> None:
        """Take a line."""


class KafkaLetters:
    """Writes letters to the topic `dead-letters`; connects at the first one.

    Args:
        kafka: the broker.
        run: name of the run that the lines would have been in, where they name none.
    """

    def __init__(self, kafka: KafkaSettings, run: str) -> None:
        self._kafka = kafka
        self._run = run
        self._topic = kafka.topic_prefix + DEAD_LETTERS.name
        self._began = time.time_ns() // 1000
        self._producer: Producer | None = None
        self.taken = 0

    def put(self, line: Line, source: str, why: str, /) -> None:
        """Send a letter, or count one that is too many."""
        self.taken += 1
        if self.taken > MAX_LETTERS:
            return
        headers = letter_headers(
            KIND, "", why, run_id=self._run, source=source or "-", line=line.number, size=line.size,
            sha256=line.sha256 or None,
        )  # fmt: skip
        key = f"{KIND}/{self._run}/{self._began}/{self.taken}"
        try:
            if self._producer is None:
                self._producer = new_ingest_producer(self._kafka)
            self._producer.produce(self._topic, line.data[:START_BYTES], key.encode(), headers=list(headers))
            self._producer.poll(0)
        except (KafkaException, BufferError) as error:  # a broker that is away must not stop what is read
            log.warning("a dead letter was not sent: %s", error)

    def flush(self, timeout: float) -> int:
        """Wait until all letters are delivered, at most `timeout` seconds; return how many are not."""
        return 0 if self._producer is None else self._producer.flush(timeout)

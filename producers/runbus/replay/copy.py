"""Copies the records of a run to another topic, byte for byte."""

from __future__ import annotations

import time

from confluent_kafka import KafkaError, Message, Producer

from runbus.config.errors import ConfigError, RunBusError
from runbus.kafka.admin import ask_topics
from runbus.kafka.clients import admin_client, new_copying_producer
from runbus.kafka.errors import TopicMissing
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import TOPICS

_FULL_S = 0.1
_STALLED_S = 60.0  # the client gives a record up after 30 s
_ANSWER_S = 5.0


class Copy:
    """Appends records to a topic: key, value, headers and time as they are; the key decides the partition.

    Args:
        settings: of the broker.
        topic: its full name.

    Raises:
        ConfigError: it is one of the installation's own, which would then hold its records twice.
        TopicMissing: the broker has no such topic.
    """

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        if topic in {settings.topic_prefix + own.name for own in TOPICS}:
            raise ConfigError(f"--topic {topic}: it would hold these records twice; name a topic of your own")
        if topic not in ask_topics(settings, admin_client(settings), _ANSWER_S):
            raise TopicMissing(f"there is no topic {topic}: create it, with as many partitions as you like")
        self._topic = topic
        self._producer: Producer = new_copying_producer(settings)
        self._failed: KafkaError | None = None
        self.records = 0

    def take(self, message: Message) -> None:
        """Append one record; it waits while too many are under way. Raises RunBusError."""
        until = time.monotonic() + _STALLED_S
        while True:
            self._check()
            try:
                self._producer.produce(
                    self._topic,
                    key=message.key(),
                    value=message.value(),
                    headers=message.headers(),
                    timestamp=message.timestamp()[1],
                    on_delivery=self._delivered,
                )
            except BufferError:
                if time.monotonic() > until:
                    raise RunBusError(f"Kafka takes no records of {self._topic}: copy again") from None
                self._producer.poll(_FULL_S)
            else:
                self._producer.poll(0)
                return

    def close(self) -> int:
        """Wait until everything is appended; return how many records. Raises RunBusError."""
        left = self._producer.flush(_STALLED_S)
        self._check()
        if left:
            raise RunBusError(f"{left} records were not appended to {self._topic}: Kafka does not answer; copy again")
        return self.records

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.records += 1
        else:
            self._failed = error

    def _check(self) -> None:
        if self._failed is not None:
            raise RunBusError(f"a record was not appended to {self._topic}: {self._failed.str()}")

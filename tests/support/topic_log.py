"""Reads whole topics back, as any consumer does: what is committed."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from runbus.config.kafka import KafkaSettings
from runbus.schemas.batch import StepBatch, decode
from runbus.schemas.codec import Codec
from runbus.schemas.events import Heartbeat, RunEvent


@dataclass(frozen=True)
class TopicLog:
    """Reads the topics of one prefix, each from its beginning to its end."""

    settings: KafkaSettings

    def read(self, topic: str) -> list[Message]:
        """Return every record of a topic, in order within each partition."""
        name = self.settings.topic_prefix + topic
        own = {"group.id": uuid.uuid4().hex, "enable.auto.commit": False, "enable.partition.eof": True}
        consumer = Consumer({**self.settings.client_config(), **own})
        try:
            left = set(consumer.list_topics(name, timeout=10).topics[name].partitions)
            consumer.assign([TopicPartition(name, partition, 0) for partition in left])
            found: list[Message] = []
            while left:
                messages = consumer.consume(10_000, timeout=1)
                for message in messages:
                    error = message.error()
                    if error is None:
                        found.append(message)
                    elif error.code() == KafkaError._PARTITION_EOF:
                        left.discard(message.partition())
                    else:
                        raise KafkaException(error)
            return found
        finally:
            consumer.close()

    def batches(self) -> list[StepBatch]:
        """Return every batch of the steps topic."""
        return [decode(Codec().open(message.value(), "StepBatch")[1]) for message in self.read("steps")]

    def runs(self) -> list[RunEvent]:
        """Return every event of the runs topic."""
        return [RunEvent.decode(Codec().open(message.value(), "RunEvent")[1]) for message in self.read("runs")]

    def heartbeats(self) -> list[Heartbeat]:
        """Return every heartbeat."""
        return [Heartbeat.decode(Codec().open(m.value(), "Heartbeat")[1]) for m in self.read("heartbeats")]

    def seqs(self) -> dict[tuple[str, str, int], list[int]]:
        """Return the seqs of each stream, in the order of the log."""
        found: dict[tuple[str, str, int], list[int]] = {}
        for batch in self.batches():
            h = batch.header
            found.setdefault((h.run_id, h.agent_id, h.attempt), []).extend(range(h.first_seq, h.next_seq))
        return found

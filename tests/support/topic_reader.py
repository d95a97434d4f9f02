"""Reads whole topics back, as any consumer does: what is committed."""

from __future__ import annotations

from dataclasses import dataclass

from confluent_kafka import Message

from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_log import open_topic
from runbus.schemas import metric_batch
from runbus.schemas.batch import StepBatch, decode
from runbus.schemas.codec import Codec
from runbus.schemas.events import Heartbeat, RunEvent
from runbus.schemas.metric_batch import MetricBatch


@dataclass(frozen=True)
class TopicReader:
    """Reads the topics of one prefix, each from its beginning to its end."""

    settings: KafkaSettings

    def read(self, topic: str) -> list[Message]:
        """Return every record of a topic, in order within each partition."""
        with open_topic(self.settings, topic, "tests") as log:
            return list(log.records())

    def batches(self) -> list[StepBatch]:
        """Return every batch of the steps topic."""
        return [decode(Codec().open(message.value(), "StepBatch")[1]) for message in self.read("steps")]

    def metrics(self) -> list[MetricBatch]:
        """Return the batches of metrics."""
        return [metric_batch.decode(Codec().open(m.value(), "MetricBatch")[1]) for m in self.read("metrics")]

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

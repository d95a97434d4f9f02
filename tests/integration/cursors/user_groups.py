"""Groups that are no process of ours: their members, and records for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from confluent_kafka import Consumer, Producer, TopicPartition

from runbus.kafka.settings import KafkaSettings
from tests.support.waiting import until

PARTITIONS = 2
PROTOCOLS = ("classic", "consumer")


def send(settings: KafkaSettings, counts: Mapping[int, int], topic: str = "steps") -> None:
    """Append as many records to each partition; their values do not matter here."""
    producer = Producer({**settings.client_config()})
    for partition, count in counts.items():
        for number in range(count):
            producer.produce(settings.topic_prefix + topic, f"{number}".encode(), partition=partition)
    assert producer.flush(30) == 0


@contextmanager
def member(settings: KafkaSettings, name: str, protocol: str) -> Iterator[Consumer]:
    """Yield a member of a user's group that owns all partitions of steps."""
    config = {
        **settings.client_config(),
        "group.id": name,
        "client.id": "page",
        "group.protocol": protocol,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    consumer = Consumer(config)
    consumer.subscribe([settings.topic_prefix + "steps"])

    def owns_all() -> bool:
        consumer.poll(0.1)
        return len(consumer.assignment()) == PARTITIONS

    until("it owns the partitions", owns_all)
    try:
        yield consumer
    finally:
        consumer.close()


def commit(settings: KafkaSettings, name: str, offsets: Mapping[int, int], protocol: str = "classic") -> None:
    """Let a member commit offsets in steps, and leave."""
    with member(settings, name, protocol) as consumer:
        parts = [TopicPartition(f"{settings.topic_prefix}steps", p, offset) for p, offset in offsets.items()]
        consumer.commit(offsets=parts, asynchronous=False)

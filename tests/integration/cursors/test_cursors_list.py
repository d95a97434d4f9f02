"""`runbus cursors list` and `show` say what the broker knows, of both group protocols."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from tests.integration.cursors.cursors_command import CursorsCommand
from tests.support.waiting import until

pytestmark = [pytest.mark.integration]

PARTITIONS = 2
PROTOCOLS = ("classic", "consumer")


@pytest.fixture
def settings(kafka_settings: KafkaSettings) -> KafkaSettings:
    """Return a broker that has this test's topics."""
    apply_topics(kafka_settings, partitions=PARTITIONS)
    return kafka_settings


@pytest.fixture
def command(settings: KafkaSettings, tmp_path: Path) -> CursorsCommand:
    """Return the command."""
    env = {"KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers, "RUNBUS_TOPIC_PREFIX": settings.topic_prefix}
    return CursorsCommand(env, tmp_path)


def send(settings: KafkaSettings, counts: dict[int, int], topic: str = "steps") -> None:
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


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_group_is_shown_as_the_broker_has_it(protocol: str, settings: KafkaSettings, command: CursorsCommand) -> None:
    """State, protocol, members, positions, owners and lag of a user's group, while it lives and when it is gone."""
    name, steps = f"{settings.topic_prefix}page", settings.topic_prefix + "steps"
    send(settings, {0: 10, 1: 5})
    with member(settings, name, protocol) as consumer:
        consumer.commit(offsets=[TopicPartition(steps, 0, 4), TopicPartition(steps, 1, 5)], asynchronous=False)
        groups = command.groups()
        assert {groups[settings.topic_prefix + own]["state"] for own in ("sink", "episodes", "live-metrics")} == {
            "missing"
        }
        one = groups[name]
        assert (one["state"], one["protocol"], one["members"]) == ("stable", protocol, 1)
        assert (one["kind"], one["committed"], one["end"], one["lag_events"]) == ("user", 9, 15, 6)
        positions = command.positions(name)
        assert {at: (p["committed"], p["end"], p["lag_events"]) for at, p in positions.items()} == {
            (steps, 0): (4, 10, 6),
            (steps, 1): (5, 5, 0),
        }
        owner = positions[steps, 0]["owner"]
        assert (owner["client_id"], owner["host"]) == ("page", "127.0.0.1")
        assert positions[steps, 1]["lag_ms"] == 0
    gone = command.groups()[name]
    assert (gone["state"], gone["members"], gone["lag_events"]) == ("empty", 0, 6)
    assert gone["lag_ms"] > one["lag_ms"] > 0  # nothing moves: it grows
    assert command.positions(name)[steps, 0]["owner"] is None

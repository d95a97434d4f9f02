"""`partition_of` against where librdkafka puts a record on a real broker."""

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbus.kafka.clients import admin_client
from runbus.kafka.partitioner import partition_of
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import stream_key

pytestmark = pytest.mark.integration

PARTITIONS = 13
_IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=40)


@pytest.fixture
def topic(kafka_settings: KafkaSettings) -> str:
    """Return a topic of this test."""
    name = f"{kafka_settings.topic_prefix}keys"
    admin = admin_client(kafka_settings)
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(15)
    return name


def _placed(producer: Producer, topic: str, keys: list[bytes]) -> list[tuple[bytes, int | None]]:
    """Produce a record a key; return where each of them went."""
    placed: list[tuple[bytes, int | None]] = []
    for key in keys:
        producer.produce(topic, b"", key, on_delivery=lambda _, m: placed.append((m.key() or b"", m.partition())))
    assert producer.flush(30) == 0
    return placed


@pytest.mark.parametrize("partitioner", ["murmur2", "murmur2_random"])
def test_the_partition_is_the_one_of_the_client(kafka_settings: KafkaSettings, topic: str, partitioner: str) -> None:
    """Random streams of any script, and 2,000 that are numbered, go where `partition_of` says."""
    producer = Producer({**kafka_settings.client_config(), "partitioner": partitioner, "log_level": 0})

    @given(st.lists(st.tuples(_IDS, _IDS), min_size=50, max_size=50, unique=True))
    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def check(ids: list[tuple[str, str]]) -> None:
        for key, partition in _placed(producer, topic, [stream_key(run, agent) for run, agent in ids]):
            assert partition == partition_of(key, PARTITIONS)

    check()
    placed = _placed(producer, topic, [stream_key("run", f"agent-{n}") for n in range(2000)])
    assert len(placed) == 2000
    assert [partition for _, partition in placed] == [partition_of(key, PARTITIONS) for key, _ in placed]
    assert {partition for _, partition in placed} == set(range(PARTITIONS))

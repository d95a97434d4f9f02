"""Transactions on the broker: what the stream apps commit is seen once, what they abort never."""

import os
import time

import pytest
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from runbus.kafka.admin import apply_topics
from runbus.kafka.clients import new_bounds_reader, new_offsets_reader
from runbus.kafka.model import LogUnavailable
from runbus.kafka.model import TopicPartition as KafkaPartition
from runbus.kafka.offsets import log_bounds
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import EPISODES, EPISODES_STATE, STEPS
from tests.support.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(kafka_settings: KafkaSettings) -> KafkaSettings:
    """Return the broker with the topics of the catalogue, one partition each."""
    apply_topics(kafka_settings, 1)
    return kafka_settings


def _transactional(settings: KafkaSettings) -> Producer:
    """Return a producer that took over the transactional id of partition 0."""
    producer = Producer({**settings.client_config(), "transactional.id": f"{settings.topic_prefix}episodes-0"})
    producer.init_transactions(30)
    return producer


def _consumer(settings: KafkaSettings, isolation: str = "read_committed") -> Consumer:
    config = {**settings.client_config(), "group.id": f"{settings.topic_prefix}episodes", "isolation.level": isolation}
    return Consumer({**config, "enable.auto.commit": False, "enable.partition.eof": True})


def _values(settings: KafkaSettings, topic: str, isolation: str = "read_committed") -> list[bytes]:
    """Return the values of a topic up to the end that this isolation level sees."""
    return [value for _, value in _records(settings, topic, isolation)]


def _records(settings: KafkaSettings, topic: str, isolation: str = "read_committed") -> list[tuple[bytes, bytes]]:
    """Return the keys and values of a topic up to the end that this isolation level sees."""
    consumer = _consumer(settings, isolation)
    consumer.assign([TopicPartition(topic, 0, 0)])
    records: list[tuple[bytes, bytes]] = []
    while (message := _next(consumer)).error() is None:
        records.append((message.key() or b"", message.value() or b""))
    consumer.close()
    return records


def _next(consumer: Consumer) -> Message:
    message = consumer.poll(30)
    assert message is not None
    return message


def test_only_what_was_committed_is_read(settings: KafkaSettings) -> None:
    """Emission, state and source offset of a transaction become visible together, or not at all."""
    episodes, state = (settings.topic_prefix + t.name for t in (EPISODES, EPISODES_STATE))
    source = TopicPartition(settings.topic_prefix + STEPS.name, 0)
    group = _consumer(settings)
    producer = _transactional(settings)
    for number, outcome in enumerate(["commit", "abort", "commit"]):
        producer.begin_transaction()
        producer.produce(episodes, f"episode {number}".encode(), b"run/agent")
        producer.produce(state, f"state {number}".encode(), b"run/agent/1")
        at = TopicPartition(source.topic, source.partition, 10 * number + 1)
        producer.send_offsets_to_transaction([at], group.consumer_group_metadata(), 30)
        if outcome == "abort":
            assert producer.flush(30) == 0  # it is on the log, and nobody is to see it
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
        (committed,) = group.committed([source], 30)
        assert committed.offset == (21 if number == 2 else 1)
    group.close()
    assert _values(settings, episodes) == [b"episode 0", b"episode 2"]
    assert _values(settings, state) == [b"state 0", b"state 2"]
    assert _values(settings, episodes, "read_uncommitted") == [b"episode 0", b"episode 1", b"episode 2"]


def test_reading_ends_before_a_transaction_that_is_open(settings: KafkaSettings) -> None:
    """Also for a topic that is empty; the log itself goes on, and behind it the marker counts too."""
    at, empty = (KafkaPartition(settings.topic_prefix + topic.name, 0) for topic in (EPISODES, STEPS))
    reader, whole = new_bounds_reader(settings), new_offsets_reader(settings, f"{settings.topic_prefix}sink")
    producer = _transactional(settings)
    producer.begin_transaction()
    producer.produce(at.topic, b"episode", b"run/agent", partition=0)
    assert producer.flush(30) == 0
    assert log_bounds(reader, [at, empty], 10.0) == {at: (0, 0), empty: (0, 0)}
    assert log_bounds(whole, [at, empty], 10.0) == {at: (0, 1), empty: (0, 0)}
    producer.commit_transaction(30)
    until("its marker is there", lambda: log_bounds(reader, [at, empty], 10.0) == {at: (0, 2), empty: (0, 0)})
    with pytest.raises(LogUnavailable):
        log_bounds(reader, [KafkaPartition(f"{settings.topic_prefix}nothing", 0)], 10.0)
    reader.close()
    whole.close()


def test_a_new_owner_fences_the_old_one(settings: KafkaSettings) -> None:
    """Whoever takes the transactional id over ends the open transaction of its former owner, which cannot commit."""
    topic = settings.topic_prefix + EPISODES.name
    zombie = _transactional(settings)
    zombie.begin_transaction()
    zombie.produce(topic, b"zombie", b"run/agent")
    assert zombie.flush(30) == 0
    owner = _transactional(settings)
    owner.begin_transaction()
    owner.produce(topic, b"owner", b"run/agent")
    owner.commit_transaction(30)
    with pytest.raises(KafkaException) as caught:
        zombie.commit_transaction(30)
    assert caught.value.args[0].fatal()
    assert _values(settings, topic) == [b"owner"]


def test_the_state_of_few_keys_stays_short(settings: KafkaSettings) -> None:
    """Forty megabytes of changes to 16 keys shrink to one open segment and the newest value of each key, soon."""
    topic = settings.topic_prefix + EPISODES_STATE.name
    producer = _transactional(settings)
    written: dict[bytes, bytes] = {}
    for commit in range(40):
        producer.begin_transaction()
        for number in range(16):
            key, value = f"stream {number}".encode(), f"{commit} ".encode() + os.urandom(64 * 1024)
            producer.produce(topic, value, key)
            written[key] = value
        producer.commit_transaction(30)
    open_segment = int(EPISODES_STATE.config()["segment.bytes"]) // (64 * 1024)
    deadline = time.monotonic() + 60
    while len(records := _records(settings, topic)) > open_segment + 16:
        assert time.monotonic() < deadline, f"{len(records)} records are still there"
    assert dict(records) == written

"""What a producer of RunBus is told is stored, is: also where the broker refused a request and took the next."""

from dataclasses import replace

import numpy as np
import pytest
from confluent_kafka import Producer

from runbus.kafka.admin import apply_topics
from runbus.kafka.clients import new_dead_letter_producer
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import DEAD_LETTERS, STEPS, Topic
from runbus.recorder import Recorder, RunBus
from runbus.schemas.batch import decode
from runbus.schemas.codec import Codec
from tests.integration.wire import Wire
from tests.support.topic_reader import TopicReader

pytestmark = [pytest.mark.integration, pytest.mark.faults]


@pytest.fixture
def broker(kafka_settings: KafkaSettings) -> KafkaSettings:
    """Return a broker that has this test's topics, of one partition each."""
    apply_topics(kafka_settings, partitions=1)
    return kafka_settings


def wire(broker: KafkaSettings, topic: Topic) -> Wire:
    """Return a wire to the broker that damages the first request to a topic."""
    return Wire(int(broker.bootstrap_servers.rpartition(":")[2]), broker.topic_prefix + topic.name)


def through(wire: Wire, broker: KafkaSettings) -> KafkaSettings:
    """Return how to reach the broker over a wire."""
    return replace(broker, bootstrap_servers=f"127.0.0.1:{wire.port}")


def stored(broker: KafkaSettings, topic: Topic) -> list[bytes]:
    """Return the values of a topic."""
    return [message.value() or b"" for message in TopicReader(broker).read(topic.name)]


def test_a_refused_batch_of_steps_is_sent_again(broker: KafkaSettings) -> None:
    """The recorder's first batch is refused by the broker, and is its first batch there."""
    with wire(broker, STEPS) as damaging:
        recorder = Recorder("run-1", "agent-1", bus=RunBus(), settings=through(damaging, broker))
        for number in range(20):
            recorder.step(number, 1.0, False, False, np.full(8, number, np.float32))
            assert damaging.damaged.wait(30)  # from here on each step has a batch of its own
            recorder.flush(0.05)
        recorder.close()
        assert recorder.flush(30)
    headers = [decode(Codec().open(value, "StepBatch")[1]).header for value in stored(broker, STEPS)]
    assert [seq for h in headers for seq in range(h.first_seq, h.next_seq)] == list(range(20))
    assert recorder.stats()["delivered"] == 20


def test_a_refused_dead_letter_is_sent_again(broker: KafkaSettings) -> None:
    """The sink commits past a record when its dead letter is acknowledged: then it has to be there."""
    with wire(broker, DEAD_LETTERS) as damaging:
        _send(new_dead_letter_producer(through(damaging, broker)), damaging, broker.topic_prefix + DEAD_LETTERS.name)
    assert stored(broker, DEAD_LETTERS) == [f"letter {number}".encode() * 9 for number in range(5)]


def _send(producer: Producer, damaging: Wire, topic: str) -> None:
    errors: list[object] = []
    for number in range(5):
        producer.produce(topic, f"letter {number}".encode() * 9, on_delivery=lambda error, _: errors.append(error))
        producer.poll(0.02)
        assert damaging.damaged.wait(30)
    assert producer.flush(30) == 0
    assert errors == [None] * 5

"""Values of every dtype, in both framings, through a real broker and back, identical."""

from typing import Any

import numpy as np
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import STEPS, stream_key
from runbus.schemas.avsc import schema
from runbus.schemas.batch import BatchHeader, StepBatch, StepColumns, decode, encode
from runbus.schemas.codec import CONFLUENT_MARK, SINGLE_OBJECT_MARK, Codec
from runbus.schemas.layout import NUMERIC_DTYPES, decode_value, encode_value, layout_of, pack, unpack
from runbus.schemas.registry import SchemaRegistry

pytestmark = pytest.mark.integration

VALUES: list[Any] = [
    *(np.array([[0, 1], [1, 0]], dtype) for dtype in sorted(NUMERIC_DTYPES)),
    np.array([np.iinfo(np.uint64).max], np.uint64),
    np.array([0x7FF4DEADBEEF0001], "<u8").view("<f8"),
    np.zeros((0, 3), np.float32),
    np.int64(-(2**63)),
    "größe \u2028 \x00",
    {"tool": "search", "args": [1, None, "ä"]},
    {"position": np.array([0.5, -0.0], np.float32), "said": "hello", "inner": (np.int8(3),)},
]


def _batch(seq: int, value: object) -> StepBatch:
    layout = layout_of(value)
    zeros: dict[str, Any] = {"env": "<i4", "episode": "<i8", "step": "<i4", "ts": "<i8", "reward": "<f8"}
    flags = {"terminated": "|u1", "truncated": "|u1"}
    return StepBatch(
        header=BatchHeader("run", "agent", 1, seq, 2, 0, 1, observation=layout),
        columns=StepColumns(**{name: np.zeros(2, dtype) for name, dtype in (zeros | flags).items()}),
        observation=pack(layout, [encode_value(layout, value)] * 2),
    )


def _consume(settings: KafkaSettings, topic: str, partitions: int, count: int) -> list[bytes]:
    """Return the values of one stream, in order."""
    consumer = Consumer({**settings.client_config(), "group.id": topic, "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
        found: list[bytes | None] = []
        while len(found) < count:
            message = consumer.poll(20)
            assert message is not None, f"{len(found)} of {count} records arrived"
            assert message.error() is None
            assert message.key() == stream_key("run", "agent")
            found.append(message.value())
    finally:
        consumer.close()
    return [value for value in found if value is not None]


def test_every_dtype_in_both_framings_through_kafka(kafka_settings: KafkaSettings, registry: str) -> None:
    """Every kind of value is identical after Kafka; one reader takes both framings from one topic, in order."""
    apply_topics(kafka_settings, partitions=2)
    topic = kafka_settings.topic_prefix + STEPS.name
    with_registry = SchemaRegistry(registry)
    with_registry.push(topic, schema("StepBatch"))
    codecs = (Codec(), Codec(with_registry))
    producer = Producer({**kafka_settings.client_config(), "partitioner": "murmur2", "acks": "all"})
    batches = [_batch(2 * n, value) for n, value in enumerate(VALUES)]
    for n, batch in enumerate(batches):
        value = codecs[n % 2].frame(topic, schema("StepBatch"), encode(batch))
        producer.produce(topic, value, stream_key("run", "agent"))
    assert producer.flush(20) == 0

    values = _consume(kafka_settings, topic, 2, len(batches))
    assert {value[:1] for value in values} == {CONFLUENT_MARK, SINGLE_OBJECT_MARK[:1]}
    for raw, expected, value in zip(values, batches, VALUES, strict=True):
        writer, body = codecs[1].open(raw, "StepBatch")
        found = decode(body, writer)
        assert found.header == expected.header
        for one in unpack(found.header.observation, found.observation, 2):
            _assert_same(decode_value(found.header.observation, one), value)


def _assert_same(found: Any, value: Any) -> None:
    if isinstance(value, (np.ndarray, np.generic)):
        assert (found.dtype, found.shape, found.tobytes()) == (value.dtype, value.shape, value.tobytes())
    elif isinstance(value, dict) and "position" in value:
        for left, right in zip(found.values(), value.values(), strict=True):
            _assert_same(left, right)
    elif isinstance(value, tuple):
        for left, right in zip(found, value, strict=True):
            _assert_same(left, right)
    else:
        assert found == value

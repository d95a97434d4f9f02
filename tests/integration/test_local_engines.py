"""The two engines, started the way every integration test gets them."""

import json
import urllib.request
import uuid

import clickhouse_connect
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.settings import KafkaSettings
from runbus.schemas.avsc import schema
from runbus.schemas.registry import SchemaRegistry

pytestmark = pytest.mark.integration


def test_broker_takes_a_record_of_four_mebibytes(kafka_settings: KafkaSettings) -> None:
    """A topic can be made and the largest record of the recorder is accepted."""
    topic = kafka_settings.topic_prefix + "big"
    admin = AdminClient({**kafka_settings.client_config()})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    producer = Producer({**kafka_settings.client_config(), "message.max.bytes": 8 << 20, "enable.idempotence": True})
    errors: list[object] = []
    producer.produce(topic, b"x" * (4 << 20), on_delivery=lambda error, _message: errors.append(error))
    assert producer.flush(30) == 0
    assert errors == [None]


def test_broker_does_not_create_topics_by_itself(kafka_settings: KafkaSettings) -> None:
    """A misspelt topic is an error and not a new topic."""
    topic = kafka_settings.topic_prefix + "typo"
    AdminClient({**kafka_settings.client_config()}).list_topics(topic, timeout=10)
    assert topic not in AdminClient({**kafka_settings.client_config()}).list_topics(timeout=10).topics


def test_engine_answers_the_stock_client(clickhouse_settings: ClickHouseSettings) -> None:
    """The database of the test does not exist before the test makes it."""
    client = clickhouse_connect.get_client(
        dsn=clickhouse_settings.url, username=clickhouse_settings.user, password=clickhouse_settings.password.reveal()
    )
    client.command(f"CREATE DATABASE {clickhouse_settings.database}")
    assert client.command("SELECT 1") == 1
    client.close()


def test_registry_answers(registry: str) -> None:
    """The registry speaks the Confluent API: a subject that is pushed is listed (other tests share the registry)."""
    topic = f"t{uuid.uuid4().hex[:8]}.heartbeats"
    SchemaRegistry(registry).push(topic, schema("Heartbeat"))
    with urllib.request.urlopen(f"{registry}/subjects", timeout=10) as response:
        assert f"{topic}-value" in json.loads(response.read())

"""What the sink's integration tests share: a migrated database, topics of their own, sinks as processes."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbus.clickhouse.client import connect
from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from tests.integration.sink.sink_processes import PARTITIONS, Feed, Sinks, Tables, environment


@pytest.fixture(scope="session")
def migrated(clickhouse: ClickHouseSettings) -> Iterator[ClickHouseSettings]:
    """Yield a migrated database for all sink tests: rows of different topics never meet."""
    settings = ClickHouseSettings(clickhouse.url, clickhouse.user, clickhouse.password, f"sink{uuid.uuid4().hex[:8]}")
    migrate(settings)
    yield settings
    client = connect(clickhouse, database="default")
    client.command(f"DROP DATABASE IF EXISTS {settings.database} SYNC")
    client.close()


@pytest.fixture
def tables(migrated: ClickHouseSettings) -> Iterator[Tables]:
    """Yield the database."""
    client = connect(migrated)
    yield Tables(client)
    client.close()


@pytest.fixture
def feed(kafka_settings: KafkaSettings) -> Feed:
    """Return a producer for topics of this test alone."""
    apply_topics(kafka_settings, partitions=PARTITIONS)
    return Feed(kafka_settings)


@pytest.fixture
def sinks(kafka_settings: KafkaSettings, migrated: ClickHouseSettings, tmp_path: Path) -> Iterator[Sinks]:
    """Yield a starter of sinks for this test's topics and the shared database."""
    starter = Sinks(environment(kafka_settings, migrated), tmp_path)
    yield starter
    starter.kill_all()

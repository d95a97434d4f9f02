"""What the audit's tests share: topics and a database of one test alone, filled by real sinks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runbus.clickhouse.client import connect
from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from tests.integration.audit.audit_setup import PARTITIONS, AuditSetup
from tests.integration.sink.sink_processes import Feed, Sinks, Tables, environment


@pytest.fixture
def scene(
    kafka_settings: KafkaSettings, clickhouse_settings: ClickHouseSettings, tmp_path: Path
) -> Iterator[AuditSetup]:
    """Yield a log and an empty database, and a starter of sinks between them."""
    apply_topics(kafka_settings, partitions=PARTITIONS)
    migrate(clickhouse_settings)
    sinks = Sinks(environment(kafka_settings, clickhouse_settings), tmp_path)
    client = connect(clickhouse_settings)
    yield AuditSetup(Feed(kafka_settings), sinks, Tables(client), clickhouse_settings)
    sinks.kill_all()
    client.close()

"""What the sink's tests use, and the commands for its dead letters."""

from pathlib import Path

import pytest

from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.settings import KafkaSettings
from tests.integration.dead_letters.rig import Dlq
from tests.integration.sink.conftest import feed, migrated, sinks, tables
from tests.integration.sink.rig import environment

__all__ = ["feed", "migrated", "sinks", "tables"]


@pytest.fixture
def dlq(kafka_settings: KafkaSettings, migrated: ClickHouseSettings, tmp_path: Path, registry: str) -> Dlq:
    """Return the commands, for this test's topics."""
    return Dlq(environment(kafka_settings, migrated) | {"SCHEMA_REGISTRY_URL": registry}, tmp_path)

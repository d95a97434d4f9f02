"""What the sink's tests use, and the commands for its dead letters."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.settings import KafkaSettings
from tests.integration.dead_letters.dlq_command import Dlq
from tests.integration.dead_letters.late_registry import LateRegistry, late_registry
from tests.integration.sink.conftest import feed, migrated, sinks, tables
from tests.integration.sink.sink_processes import environment

__all__ = ["feed", "migrated", "sinks", "tables"]


@pytest.fixture
def late(registry: str) -> Iterator[LateRegistry]:
    """Yield a registry that does not know one schema yet."""
    with late_registry(registry) as server:
        yield server


@pytest.fixture
def dlq(kafka_settings: KafkaSettings, migrated: ClickHouseSettings, tmp_path: Path, late: LateRegistry) -> Dlq:
    """Return the commands, for this test's topics."""
    return Dlq(environment(kafka_settings, migrated) | {"SCHEMA_REGISTRY_URL": late.url}, tmp_path)

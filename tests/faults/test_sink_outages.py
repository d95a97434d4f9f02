"""The sink without its broker for a minute, with ClickHouse up and steps waiting."""

import dataclasses
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runbus.clickhouse.client import connect
from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from tests.integration.sink.outage import without_broker

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(600)]


@pytest.fixture
def migrated(clickhouse: ClickHouseSettings) -> Iterator[ClickHouseSettings]:
    """Yield a migrated database of this test alone."""
    settings = dataclasses.replace(clickhouse, database=f"sink{uuid.uuid4().hex[:8]}")
    migrate(settings)
    yield settings
    client = connect(clickhouse, database="default")
    client.command(f"DROP DATABASE {settings.database} SYNC")
    client.close()


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_a_minute_without_the_broker_changes_nothing(
    migrated: ClickHouseSettings, tmp_path: Path, say: Callable[[str], None], protocol: str
) -> None:
    """Longer than any session: each step that waited, and each that came afterwards, is stored once."""
    waiting = without_broker(migrated, tmp_path, 60, protocol)
    say(f"\nsink, {protocol}: a minute without its broker, {waiting:,} steps waiting: exact")
    assert waiting > 0

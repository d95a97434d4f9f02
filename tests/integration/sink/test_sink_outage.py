"""The broker away under a running sink, short; `make test-faults` has the minute."""

from pathlib import Path

import pytest

from runbus.config.clickhouse import ClickHouseSettings
from tests.integration.sink.outage import without_broker

pytestmark = [pytest.mark.integration, pytest.mark.faults]


def test_a_broker_that_is_away_changes_nothing(migrated: ClickHouseSettings, tmp_path: Path) -> None:
    """Killed while steps wait in the log and in the sink, back after 8 s: each step is stored once."""
    assert without_broker(migrated, tmp_path, 8, "auto") > 0

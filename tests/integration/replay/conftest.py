"""What the tests of tail, replay and rebuild share: one log with every irregularity, and what is made of it."""

from collections.abc import Iterator

import pytest

from runbus.config.clickhouse import ClickHouseSettings
from tests.integration.replay.scene import Scene, playing


@pytest.fixture(scope="session")
def scene(kafka: str, clickhouse: ClickHouseSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Yield a log of several runs with a sink and both stream apps at work; all of it is stored and computed."""
    with playing(kafka, clickhouse, tmp_path_factory.mktemp("replay")) as found:
        yield found

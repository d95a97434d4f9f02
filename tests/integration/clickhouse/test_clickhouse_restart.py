"""What must survive a restart of the engine."""

import dataclasses
from pathlib import Path

import pytest

from runbus.clickhouse.client import connect
from runbus.clickhouse.deduplication import insert_settings
from runbus.clickhouse.migrate import migrate
from runbus.clickhouse.tables import STEPS
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.secret import Secret
from runbus.local.clickhouse import OWNER, ClickHouseOptions, clickhouse_service, new_password
from runbus.local.ports import free_port
from runbus.local.process import running

pytestmark = pytest.mark.integration


def test_repeat_after_a_restart_stores_nothing(tmp_path: Path, sink_body: bytes) -> None:
    """The engine remembers tokens on disk: a replay after its restart is dropped, a new range is not."""
    counts = []
    options = ClickHouseOptions(tmp_path, free_port(), new_password(), new_password())
    settings = ClickHouseSettings(options.url, OWNER, Secret(options.owner_password), "runbus")
    for tokens in (["t:0:0-1"], ["t:0:0-1", "t:0:2-3"]):
        with running(clickhouse_service(options), tmp_path / "clickhouse.log"):
            migrate(settings)
            client = connect(dataclasses.replace(settings))
            for token in tokens:
                client.raw_insert(
                    STEPS.landing, insert_block=sink_body, fmt="Avro", settings=insert_settings(client, token)
                )
            counts.append(client.query("SELECT count() FROM steps").result_rows[0][0])
            client.close()
    assert counts == [20, 40]

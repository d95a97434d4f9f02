"""The migrations on the real engine: once, in order, by several processes at once, and never changed afterwards."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runbus.clickhouse import migrate as module
from runbus.clickhouse.client import connect
from runbus.clickhouse.deduplication import check_deduplication
from runbus.clickhouse.errors import Ambiguous, Configuration
from runbus.clickhouse.migrate import MigrationError, migrate, status
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.secret import Secret
from runbus.local.ports import free_port

pytestmark = pytest.mark.integration

FILES = 7


def test_applies_once_in_order(clickhouse_settings: ClickHouseSettings) -> None:
    """The first run applies every file, the second none, and the tables pass the check."""
    assert [m.version for m in migrate(clickhouse_settings)] == list(range(1, FILES + 1))
    assert migrate(clickhouse_settings) == []
    client = connect(clickhouse_settings)
    check_deduplication(client)
    client.close()


def test_status_reads_only(clickhouse_settings: ClickHouseSettings) -> None:
    """Before, everything is pending and no database appears; after, everything has a time."""
    assert [m.applied_at for m in status(clickhouse_settings)] == [None] * FILES
    with pytest.raises(Configuration, match="does not exist"):
        connect(clickhouse_settings).query("SELECT 1 FROM system.one")
    migrate(clickhouse_settings)
    assert all(m.applied_at for m in status(clickhouse_settings))


def test_two_at_once(clickhouse_settings: ClickHouseSettings) -> None:
    """Three processes that start together all succeed, and leave one complete schema."""
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: migrate(clickhouse_settings), range(3)))
    assert migrate(clickhouse_settings) == []
    assert len(status(clickhouse_settings)) == FILES


def test_stopped_half_way_continues(clickhouse_settings: ClickHouseSettings) -> None:
    """A run that died between two files, or inside one, is completed by the next."""
    migrate(clickhouse_settings)
    client = connect(clickhouse_settings)
    client.command("DROP TABLE episode_returns")
    client.command("DELETE FROM schema_versions WHERE version >= 4")
    assert [m.version for m in migrate(clickhouse_settings)] == list(range(4, FILES + 1))
    assert client.query("SELECT count() FROM episode_returns").result_rows == [(0,)]
    client.close()


def test_changed_file_is_refused(clickhouse_settings: ClickHouseSettings) -> None:
    """A file that is not what was applied stops everything, by name and with a way out."""
    migrate(clickhouse_settings)
    client = connect(clickhouse_settings)
    client.command("ALTER TABLE schema_versions UPDATE md5 = 'other' WHERE version = 2", settings={"mutations_sync": 1})
    with pytest.raises(MigrationError, match=r"0002_streams.sql changed .* new migration"):
        migrate(clickhouse_settings)
    client.close()


def test_newer_database_is_refused(clickhouse_settings: ClickHouseSettings) -> None:
    """An old program does not touch a database that a newer one migrated."""
    migrate(clickhouse_settings)
    client = connect(clickhouse_settings)
    client.command("INSERT INTO schema_versions (version, md5, script) VALUES (99, 'x', 'y')")
    with pytest.raises(MigrationError, match=r"migration 99.*Upgrade runbus"):
        migrate(clickhouse_settings)
    client.close()


def test_wrong_password_is_configuration(clickhouse_settings: ClickHouseSettings) -> None:
    """A wrong password is told as such, and is not in the text."""
    wrong = dataclasses.replace(clickhouse_settings, password=Secret("not-the-password"))
    with pytest.raises(Configuration, match="CLICKHOUSE_") as caught:
        migrate(wrong)
    assert "not-the-password" not in str(caught.value)


def test_nobody_there_is_ambiguous(clickhouse_settings: ClickHouseSettings) -> None:
    """An address where nobody answers is told as such."""
    nowhere = dataclasses.replace(clickhouse_settings, url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Ambiguous, match="reachable"):
        migrate(nowhere)


def test_failing_statement_is_our_error(
    clickhouse_settings: ClickHouseSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A statement that the server refuses comes as a StoreError, and its file stays pending."""
    (tmp_path / "0001_bad.sql").write_text("CREATE TABLE IF NOT EXISTS t (a NoSuchType) ENGINE = Null;")
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    with pytest.raises(Configuration, match="NoSuchType"):
        migrate(clickhouse_settings)
    assert [m.applied_at for m in status(clickhouse_settings)] == [None]

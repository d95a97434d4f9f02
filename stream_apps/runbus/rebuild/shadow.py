"""Makes a database beside the one in use, with the same tables, and removes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from runbus.clickhouse.asking import asking
from runbus.clickhouse.client import connect
from runbus.clickhouse.migrate import migrate, status
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import RunBusError

SUFFIX = "_rebuild"


@contextmanager
def shadow(settings: ClickHouseSettings) -> Iterator[ClickHouseSettings]:
    """Yield the settings of a database with empty tables, made by the same migrations; drop it at the end.

    Raises:
        RunBusError: the one in use lacks a migration; or one beside it is there already.
        StoreError: ClickHouse refuses, or does not answer.
    """
    pending = [migration.name for migration in status(settings) if migration.applied_at is None]
    if pending:
        raise RunBusError(f"database {settings.database} lacks {', '.join(pending)}: run `runbus migrate` first")
    beside = replace(settings, database=settings.database + SUFFIX)
    if _exists(beside):
        raise RunBusError(
            f"there is a database {beside.database}: another rebuild is running, or one was killed; once none runs, "
            f"DROP DATABASE {beside.database}"
        )
    try:
        migrate(beside)
        yield beside
    finally:
        _drop(beside)


def _exists(settings: ClickHouseSettings) -> bool:
    sql = "SELECT count() FROM system.databases WHERE name = {name:String}"
    with closing(connect(settings, database="")) as client, asking():
        return bool(client.query(sql, parameters={"name": settings.database}).result_rows[0][0])


def _drop(settings: ClickHouseSettings) -> None:
    on = f" ON CLUSTER `{settings.cluster}`" if settings.cluster else ""
    with closing(connect(settings, database="")) as client, asking():
        client.command(f"DROP DATABASE IF EXISTS `{settings.database}`{on} SYNC")

"""Creates and updates the tables: applies each numbered file of migrations/ once.

The runner is the package clickhouse-migrations (docs/decisions/0002-migration-runner.md), with our settings and errors.
Every statement is repeatable, for two reasons: ClickHouse has no transactional DDL, so a file that failed half way is
run again; and two runners at once may both run a file.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from runbus.clickhouse.asking import asking
from runbus.clickhouse.client import DEFAULT_PORTS, connect
from runbus.clickhouse.cluster import migrations
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.errors import RunBusError

if TYPE_CHECKING:
    from clickhouse_migrations.clickhouse_cluster import ClickhouseCluster  # type: ignore[import-untyped]

log = logging.getLogger(__name__)

#: The numbered files.
FOLDER = Path(__file__).parent / "migrations"
#: The runner's table of applied files.
VERSIONS_TABLE = "schema_versions"


class MigrationError(RunBusError):
    """The files contradict what was applied to the database."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of migrations/.

    Attributes:
        version: its number, from 1.
        name: its file name.
        applied_at: when this database got it (UTC), or None: pending.
        changed: it was applied, and the file is different now.
    """

    version: int
    name: str
    applied_at: datetime | None = None
    changed: bool = False


def migrate(settings: ClickHouseSettings) -> list[Migration]:
    """Create `settings.database` if need be, apply what is pending and return it, in order ([] = nothing to do).

    Safe to repeat, and safe when several processes start at once.

    Raises:
        MigrationError: an applied file was changed or is gone; nothing was applied.
        StoreError: the server's refusal (runbus.clickhouse.errors).
    """
    pending = [m for m in status(settings) if m.applied_at is None]
    if not pending:
        return []
    with _runner(settings) as runner, migrations(FOLDER, settings.cluster) as folder:
        runner.migrate(settings.database, folder, settings.cluster or None, multi_statement=True)
    for migration in pending:
        log.info("migrated database=%s file=%s", settings.database, migration.name)
    done = {m.version: m for m in status(settings)}
    return [done[m.version] for m in pending]


def status(settings: ClickHouseSettings) -> list[Migration]:
    """Return every migration, applied or pending, in order. Reads only: it creates nothing.

    Raises:
        MigrationError: an applied file was changed or is gone.
        StoreError: the server's refusal.
    """
    with _runner(settings) as runner, migrations(FOLDER, settings.cluster) as folder:
        names = {int(path.name.partition("_")[0]): path.name for path in sorted(FOLDER.glob("*.sql"))}
        rows = runner.status(settings.database, folder)
    found = []
    for row in rows:
        if row.version not in names:
            raise MigrationError(
                f"database {settings.database} has migration {row.version}, which this version of runbus does not "
                f"know: it was migrated by a newer runbus. Upgrade runbus, or use another CLICKHOUSE_DATABASE"
            )
        found.append(Migration(row.version, names[row.version], row.applied_at, changed=row.state == "md5-mismatch"))
    _refuse_changed(settings, found)
    return found


def _refuse_changed(settings: ClickHouseSettings, found: list[Migration]) -> None:
    database, changed = settings.database, [m.name for m in found if m.changed]
    if changed and _replicated(settings) != bool(settings.cluster):
        are, do = ("not replicated", "unset") if settings.cluster else ("replicated", "set")
        raise MigrationError(
            f"the tables of database {database} are {are}, and stay as they are: {do} CLICKHOUSE_CLUSTER, or take "
            "another CLICKHOUSE_DATABASE and let a new RUNBUS_SINK_GROUP fill it from the log"
        )
    if changed:
        raise MigrationError(
            f"{', '.join(changed)} changed after database {database} got it, so the tables and the files no longer "
            f"agree. Restore the file and put the change into a new migration with the next number; a database whose "
            f"rows may go can be dropped instead (DROP DATABASE {database})"
        )


def _replicated(settings: ClickHouseSettings) -> bool:
    sql = "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = 'steps'"
    with closing(connect(settings)) as client, asking():
        return any(engine.startswith("Replicated") for (engine,) in client.query(sql).result_rows)


@contextmanager
def _runner(settings: ClickHouseSettings) -> Iterator[ClickhouseCluster]:
    # It imports a driver that we do not use, which takes longer than most of our commands.
    from clickhouse_migrations.clickhouse_cluster import ClickhouseCluster
    from clickhouse_migrations.connection import CLICKHOUSE_CONNECT  # type: ignore[import-untyped]
    from clickhouse_migrations.exceptions import MigrationException  # type: ignore[import-untyped]

    if settings.tls.certificate and settings.password:
        raise MigrationError(
            "CLICKHOUSE_SSL_CERTIFICATE_LOCATION and CLICKHOUSE_PASSWORD are both set: the migration runner takes "
            "one of them. Unset the password if the certificate authenticates the user, else migrate from a place "
            "from which the server wants no certificate"
        )
    # our own client reports a wrong address or password in our words
    connect(settings, database="").close()
    address = urlsplit(settings.url)
    with asking():
        runner = ClickhouseCluster(
            db_host=address.hostname,
            db_port=address.port or DEFAULT_PORTS[address.scheme],
            db_user=settings.user,
            db_password=settings.password.reveal(),
            secure=address.scheme == "https",
            ca_cert=settings.tls.ca or None,
            cert=settings.tls.certificate or None,
            key=settings.tls.key or None,
            driver=CLICKHOUSE_CONNECT,
            migrations_table=VERSIONS_TABLE,
        )
        try:
            yield runner
        except MigrationException as error:
            raise MigrationError(f"migrations of database {settings.database}: {error}") from error

"""What each role may do, judged by ClickHouse's own access control: all that we send, and nothing else."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from runbus.cli.runs import read
from runbus.clickhouse.client import connect
from runbus.clickhouse.deduplication import check_deduplication
from runbus.clickhouse.errors import StoreError
from runbus.clickhouse.landings import check_landings
from runbus.clickhouse.migrate import migrate, status
from runbus.clickhouse.queries import NAMES, query
from runbus.clickhouse.users import apply_users, role_statements, team_statements
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.secret import Secret
from runbus.kafka.model import TopicIdPartition
from runbus.local.clickhouse import OWNER, ClickHouseOptions, new_password
from runbus.local.ports import free_port
from runbus.sink.api import DeletedRange
from runbus.sink.routes import ROUTES
from runbus.sink.store import ClickHouseStore
from tests.integration.clickhouse.conftest import Store, step_batch
from tests.integration.clickhouse.limited_engine import limited

pytestmark = pytest.mark.integration

DATABASE = "runbus"
PARAMETERS: dict[str, Any] = {
    "prefix": "",
    "run_id": "",
    "agent_id": "agent-0",
    "attempt": 1,
    "limit": 10,
    "table": "steps",
    "topic": "steps",
    "topics": ["steps"],
    "topic_id": "topic-1",
    "partition": 0,
    "partitions": 4,
    "offset": 0,
    "offsets": [0, 1],
    "key": "steps-0-0",
    "keys": ["steps-0-0"],
    "first": 0,
    "last": 9,
    "size": 256,
    "layouts": ["<i8"],
    "action_width": 8,
    "observation_width": 16,
    "all": True,
    "canary": "",
    "env": 0,
    "episode": 0,
    "newest": 1,
}
VIEWS = ("episodes_latest", "team_episodes", "episode_check", "episode_returns", "stream_summary", "run_summary")


@dataclass(frozen=True)
class Engines:
    """A directory with a migrated database and the steps of two teams, to be opened as one role after the other."""

    home: Path

    def options(self) -> ClickHouseOptions:
        """Return where the next engine listens."""
        return ClickHouseOptions(self.home, free_port(), new_password(), new_password())

    def settings(self, options: ClickHouseOptions) -> ClickHouseSettings:
        """Return how to reach it."""
        return ClickHouseSettings(options.url, OWNER, Secret(options.owner_password), DATABASE)


@pytest.fixture(scope="module")
def engines(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Engines:
    """Return the directory, filled by a user who may do everything."""
    if backend != "local":
        pytest.skip("the engine that takes a role from its configuration is the local one")
    made = Engines(tmp_path_factory.mktemp("limited"))
    options = made.options()
    with limited(options, "", ()):
        settings = made.settings(options)
        migrate(settings)
        client = connect(settings)
        for landing in [r.landing for r in ROUTES]:
            client.command(f"ALTER TABLE {landing}_view MODIFY SQL SECURITY DEFINER DEFINER = maker")
        store = Store(settings, client)
        store.insert_steps([step_batch(run, 3) for run in ("vision-1", "llm-1")])
        client.close()
    return made


@pytest.fixture
def settings(engines: Engines, request: pytest.FixtureRequest) -> Iterator[ClickHouseSettings]:
    """Yield how the role reaches its engine, which the test names by `indirect`."""
    role = request.param
    statements = list(role_statements(DATABASE)) + list(team_statements(DATABASE, "vision", "vision-"))
    options = engines.options()
    with limited(options, f"{DATABASE}_{role}", statements):
        yield engines.settings(options)


@pytest.fixture
def client(settings: ClickHouseSettings) -> Iterator[Client]:
    """Yield a client of the role."""
    made = connect(settings)
    yield made
    made.close()


def refused(client: Client, *statements: str, code: int = 497) -> None:
    """Fail unless each statement is refused: ACCESS_DENIED, or the code given."""
    for statement in statements:
        with pytest.raises(ClickHouseError, match=rf"Code: {code}\b|code: {code}\b"):
            client.command(statement)


@pytest.mark.parametrize("settings", ["writer"], indirect=True)
def test_the_writer_does_all_that_the_sink_does_and_no_more(settings: ClickHouseSettings, client: Client) -> None:
    """Every statement of the sink's start and of its store, then what a stolen password would try."""
    check_deduplication(client)
    check_landings(client)
    assert client.command("EXISTS TABLE lost_ranges") == 1
    sent = Store(settings, client)
    sent.insert_steps([step_batch("writer", 3)], first_offset=50)
    sent.insert_steps([step_batch("writer", 3, 3)], first_offset=51)
    source = TopicIdPartition("steps", "topic-1", 0)

    async def store() -> None:
        kept = ClickHouseStore(client, "group")
        for route in ROUTES:
            await kept.rows(route, source, 0, 99)
            await kept.newest(route, source, 0)
        assert await kept.sequence(ROUTES[0], source, 50) == {0, 1, 2}
        await kept.record_lost(DeletedRange("steps", "topic-1", 0, 1, 2, "retention"))

    asyncio.run(store())
    refused(
        client,
        "SELECT reward FROM steps",
        "SELECT * FROM runs",
        "SELECT value FROM dead_letters",
        "INSERT INTO steps (run_id) SELECT 'x'",
        "DROP TABLE steps",
        "TRUNCATE TABLE dead_letters",
        "ALTER TABLE steps DELETE WHERE 1",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "CREATE USER thief",
    )
    refused(client, "SELECT 1 SETTINGS async_insert = 1", "SELECT 1 SETTINGS insert_deduplicate = 0", code=452)


@pytest.mark.parametrize("settings", ["reader"], indirect=True)
def test_the_reader_reads_everything_and_changes_nothing(settings: ClickHouseSettings, client: Client) -> None:
    """Every named query and `runbus query`, the state of the migrations; no write, no setting, no file."""
    for name in NAMES:
        read(settings, query(name), PARAMETERS)
    assert read(settings, "SELECT uniqExact(run_id) FROM steps WHERE run_id != 'writer'").result_rows == [(2,)]
    assert all(m.applied_at is not None for m in status(settings))
    refused(client, "INSERT INTO dead_letters (topic) SELECT 'x'", "DROP TABLE steps", "CREATE ROLE thief")
    refused(client, "SELECT 1 SETTINGS max_execution_time = 6000", code=164)
    refused(client, "SELECT * FROM file('/etc/passwd', 'LineAsString')", "SELECT * FROM system.users")


@pytest.mark.parametrize("settings", ["dashboard"], indirect=True)
def test_a_dashboard_may_only_tighten_its_limits(settings: ClickHouseSettings, client: Client) -> None:
    """Grafana sets a time for each query; it cannot set a longer one, and cannot write."""
    assert client.query("SELECT count() > 0 FROM steps SETTINGS max_execution_time = 10").result_rows == [(True,)]
    refused(client, "SELECT 1 SETTINGS max_execution_time = 600", "SELECT 1 SETTINGS max_memory_usage = 0", code=452)
    refused(client, "INSERT INTO dead_letters (topic) SELECT 'x'", "TRUNCATE TABLE steps")


@pytest.mark.parametrize("settings", ["team_vision"], indirect=True)
def test_a_team_sees_its_own_runs_in_every_table_and_view(settings: ClickHouseSettings, client: Client) -> None:
    """The row policy holds behind the views too, and what is not of a run is not there for it."""
    for table in ("steps", "episode_returns"):
        assert client.query(f"SELECT DISTINCT run_id FROM {table}").result_rows == [("vision-1",)]
    for table in ("runs", "episodes", *VIEWS):
        assert client.query(f"SELECT count() FROM {table} WHERE NOT startsWith(run_id, 'vision-')").result_rows == [
            (0,)
        ]
    refused(client, "SELECT * FROM heartbeats", "SELECT * FROM dead_letters", "SELECT * FROM lost_ranges")


@pytest.mark.parametrize("settings", ["migrator"], indirect=True)
def test_the_migrator_makes_the_tables_and_no_users(settings: ClickHouseSettings, client: Client) -> None:
    """It drops the database's tables and migrates from nothing, and reaches nothing outside of the database."""
    for name, engine in client.query("SELECT name, engine FROM system.tables WHERE database = 'runbus'").result_rows:
        client.command(f"DROP {'VIEW' if engine.endswith('View') else 'TABLE'} IF EXISTS {name} SYNC")
    assert len(migrate(settings)) == len(status(settings))
    refused(client, "CREATE DATABASE elsewhere", "CREATE USER thief", "CREATE ROLE thief", "SELECT * FROM system.users")
    refused(client, "GRANT SELECT ON *.* TO default")


def test_every_statement_is_one_that_clickhouse_understands(store: Store) -> None:
    """Its own parser takes each of them; names and prefixes with quotes in them stay strings."""
    statements = [*role_statements("runbus"), *team_statements("runbus", "vision", "it's \\ odd-")]
    for statement in statements:
        assert store.one("SELECT formatQuerySingleLine({q:String})", q=statement)
    assert store.one("SELECT startsWith('it''s \\\\ odd-1', {p:String})", p="it's \\ odd-") == 1
    assert len(statements) > 40


def test_without_the_right_to_manage_access_it_is_said(store: Store) -> None:
    """An engine or a user that cannot make roles refuses the first statement, by name."""
    with pytest.raises(StoreError, match="CREATE ROLE"):
        apply_users(store.settings, {}, {})


def test_real_users_of_a_real_server(backend: str, clickhouse: ClickHouseSettings, database: str) -> None:
    """On a server: users with passwords, made twice, and each does what its role may."""
    if backend == "local":
        pytest.skip("the local engine has no SQL users: RUNBUS_TEST_BACKEND=containers or external runs this")
    admin = ClickHouseSettings(clickhouse.url, clickhouse.user, clickhouse.password, database)
    migrate(admin)
    passwords = {role: Secret(new_password()) for role in ("writer", "reader")}
    for _ in range(2):
        made = apply_users(admin, passwords, {"vision": "vision-"})  # type: ignore[arg-type]
    assert f"user {database}-writer" in made
    for role, password in passwords.items():
        client = connect(ClickHouseSettings(clickhouse.url, f"{database}-{role}", password, database))
        if role == "writer":
            check_deduplication(client)
            Store(admin, client).insert_steps([step_batch("vision-1", 3)])
            refused(client, "SELECT reward FROM steps")
        else:
            assert client.query("SELECT count() FROM steps").result_rows == [(3,)]
            refused(client, "DROP TABLE steps")
        client.close()

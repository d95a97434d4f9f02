"""The tables of a cluster, on the real engine and a real ZooKeeper.

The engine of the local stack is no server: it runs no statement on a cluster and serves no replica, so a replicated
table of it never becomes active and takes no insert. What it decides here is what a server would decide when it creates
the tables: every statement is valid, every engine, codec, projection and TTL is one that a replicated table can have.
"""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from clickhouse_connect.driver.client import Client

from runbus.clickhouse.client import connect
from runbus.clickhouse.cluster import replicated
from runbus.clickhouse.deduplication import check_deduplication
from runbus.clickhouse.errors import Ambiguous, StoreError
from runbus.clickhouse.migrate import FOLDER, MigrationError, migrate, status
from runbus.clickhouse.tables import STEPS, STORED_TOPICS
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.secret import Secret
from runbus.local.clickhouse import OWNER, ClickHouseOptions, new_password
from runbus.local.ports import free_port
from runbus.schemas.avsc import schema
from runbus.schemas.batch import encode
from runbus.sink.container import Container
from runbus.sink.store import ClickHouseStore
from tests.integration.clickhouse.keeper import keeper
from tests.integration.clickhouse.limited_engine import configured
from tests.integration.sink.sink_processes import make_batch

pytestmark = pytest.mark.integration

CLUSTER = "lab-one"
SERVER = """
<zookeeper><node><host>127.0.0.1</host><port>{port}</port></node></zookeeper>
<macros><shard>1</shard><replica>r1</replica></macros>
<default_replica_path>/clickhouse/tables/{{database}}/{{table}}/{{shard}}</default_replica_path>
<default_replica_name>{{replica}}</default_replica_name>
<remote_servers><{cluster}><shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard></{cluster}></remote_servers>
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseSettings]:
    """Yield an engine that knows a cluster and its keeper."""
    folder = tmp_path_factory.mktemp("cluster")
    options = ClickHouseOptions(folder / "clickhouse", free_port(), new_password(), new_password())
    options.home.mkdir()
    with keeper(folder) as port, configured(options, SERVER.format(port=port, cluster=CLUSTER), "engine"):
        yield ClickHouseSettings(options.url, OWNER, Secret(options.owner_password), "lab", CLUSTER)


@pytest.fixture(scope="module")
def client(server: ClickHouseSettings) -> Iterator[Client]:
    """Yield a client of a database that has the tables of a cluster."""
    connection = connect(server, database="")
    connection.command("CREATE DATABASE lab")
    connection.close()
    connection = connect(server)
    for statement in statements(on_cluster=False):
        connection.command(statement)
    yield connection
    connection.close()


def statements(*, on_cluster: bool) -> list[str]:
    """Return all statements of the migrations, as they are sent for a cluster."""
    found = []
    for file in sorted(FOLDER.glob("*.sql")):
        text = re.sub(r"^ *--.*$", "", replicated(file.read_text(encoding="utf-8"), CLUSTER), flags=re.MULTILINE)
        found += [part.strip() for part in re.split(r";\s*$", text, flags=re.MULTILINE) if part.strip()]
    return found if on_cluster else [part.replace(f" ON CLUSTER `{CLUSTER}`", "") for part in found]


def test_every_statement_is_for_the_cluster(client: Client) -> None:
    """The engine reads each as a statement on that cluster."""
    for statement in statements(on_cluster=True):
        assert f"ON CLUSTER `{CLUSTER}`" in statement
        assert client.raw_query(f"EXPLAIN AST {statement}", fmt="TSV").startswith(b"Create")
        with pytest.raises(Exception, match="Replicated DDL queries are disabled"):
            client.command(statement)


def test_every_table_that_keeps_rows_is_replicated(client: Client) -> None:
    """And would drop a repeated insert: the check that the sink makes at its start passes."""
    check_deduplication(client)
    tables = client.query("SELECT name, engine FROM system.tables WHERE database = 'lab'").result_rows
    engines = {str(name): str(engine) for name, engine in tables}
    assert {engines[topic.table] for topic in STORED_TOPICS} == {"ReplicatedMergeTree"}
    assert engines["lost_ranges"] == "ReplicatedReplacingMergeTree"
    assert not [name for name, engine in engines.items() if re.fullmatch(r"(?!Replicated)\w*MergeTree", engine)]
    found = client.query("SELECT table, zookeeper_path, replica_name FROM system.replicas WHERE database = 'lab'")
    assert len(found.result_rows) == len(STORED_TOPICS) + 1
    for _, path, replica in found.result_rows:
        assert path.startswith("/clickhouse/tables/")
        assert (path.rpartition("/")[2], replica) == ("1", "r1")


def test_an_insert_asks_for_its_quorum(client: Client) -> None:
    """The quorum is asked for behind the landing and its view: a table without an active replica refuses at once."""
    container = Container(schema("StepBatch"), "topic", 0, [(0, encode(make_batch("run", "agent", 0, 10)), 0)])
    with pytest.raises(Ambiguous, match=r"No node, path /clickhouse/tables/lab/steps/1/replicas/r1/is_active"):
        asyncio.run(ClickHouseStore(client, "sink").insert(STEPS.landing, container, "topic:0:0-0:salt"))
    assert client.query("SELECT count() FROM steps").result_rows == [(0,)]


def test_migrate_says_what_this_engine_does_not_do(server: ClickHouseSettings, client: Client) -> None:
    """`runbus migrate` sends every statement on the cluster, from the first one on: nothing is on one server only."""
    other = replace(server, database="other")
    with pytest.raises((StoreError, MigrationError), match="Replicated DDL queries are disabled"):
        migrate(other)
    assert client.query("SELECT count() FROM system.databases WHERE name = 'other'").result_rows == [(0,)]


def test_tables_of_one_server_stay_so(clickhouse_settings: ClickHouseSettings) -> None:
    """A cluster that is named later is refused with what to do; so nothing is half replicated."""
    migrate(clickhouse_settings)
    with pytest.raises(MigrationError, match=r"are not replicated, and stay as they are: unset CLICKHOUSE_CLUSTER"):
        status(replace(clickhouse_settings, cluster=CLUSTER))

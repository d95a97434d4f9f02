"""What the read-only user of the local engine may do, and what not: the rights are the adapter's own."""

from collections.abc import Iterator
from urllib.parse import urlencode
from urllib.request import urlopen

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from runbus.local.clickhouse import OWNER, READER, ClickHouseOptions, clickhouse_service
from runbus.local.ports import free_port
from runbus.local.process import running

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseOptions]:
    """Yield an engine of this module's own: the reader's password is needed."""
    home = tmp_path_factory.mktemp("adapter")
    options = ClickHouseOptions(home, free_port(), "owner-password", "reader-password")
    with running(clickhouse_service(options), home / "clickhouse.log"):
        yield options


@pytest.fixture(scope="module")
def owner(engine: ClickHouseOptions) -> Iterator[Client]:
    """Yield the owner's client."""
    client = clickhouse_connect.get_client(dsn=engine.url, username=OWNER, password=engine.owner_password)
    yield client
    client.close()


@pytest.fixture(scope="module")
def reader(engine: ClickHouseOptions) -> Iterator[Client]:
    """Yield the read-only user's client."""
    client = clickhouse_connect.get_client(dsn=engine.url, username=READER, password=engine.reader_password)
    yield client
    client.close()


@pytest.fixture(scope="module")
def table(owner: Client) -> str:
    """Return a table that the owner made."""
    owner.command("CREATE TABLE readable (id UInt64, note String) ENGINE = MergeTree ORDER BY id")
    return "readable"


def test_reader_reads(reader: Client, owner: Client, table: str) -> None:
    """The read-only user sees what the owner wrote, with parameters and settings of the client."""
    owner.command(f"INSERT INTO {table} VALUES (1, 'a')")
    assert reader.query(f"SELECT note FROM {table} WHERE id = {{i:UInt64}}", parameters={"i": 1}).first_row == ("a",)
    assert reader.command(f"EXISTS TABLE {table}") == 1
    assert reader.query("WITH 1 AS x SELECT x + number FROM numbers(1)").first_row == (1,)


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("INSERT INTO {table} VALUES (1, 'a')", 164),
        ("DROP TABLE {table}", 164),
        ("CREATE TABLE x (a Int8) ENGINE = Memory", 164),
        ("SET readonly = 0", 164),
        ("/* SELECT */ TRUNCATE TABLE {table}", 164),
        ("SYSTEM FLUSH LOGS", 164),
        ("KILL QUERY WHERE 1", 164),
        ("SELECT 1; DROP TABLE {table}", 62),
        ("SELECT 1 SETTINGS readonly = 0", 164),
        ("SELECT 1 SETTINGS max_execution_time = 0", 164),
        ("SELECT * FROM file('/etc/passwd', 'LineAsString')", 497),
        ("SELECT file('/etc/passwd')", 497),
        ("SELECT `file`('/etc/passwd')", 497),
        ("SELECT \"file\"/**/('/etc/passwd')", 497),
        ("SELECT FILE ('/etc/passwd')", 497),
        ("SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')", 497),
        ("SELECT * FROM s3('http://127.0.0.1:1/b/k', 'CSV')", 497),
        ("SELECT * FROM remote('127.0.0.1:1', 'system', 'one')", 497),
        ("SELECT * FROM executable('id', 'TSV', 'a String')", 497),
        ("SELECT * FROM Python(os)", 497),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", 497),
        ("SELECT 1 -- comment\nINTO/**/OUTFILE '/tmp/x'", 497),
        ("SELECT * FROM `/etc/passwd`", 164),
        ("EXPLAIN SELECT * FROM file('/etc/passwd')", 497),
    ],
)
def test_reader_is_refused(reader: Client, table: str, sql: str, code: int) -> None:
    """No write, no way around the limits, nothing outside the engine."""
    with pytest.raises(DatabaseError) as caught:
        reader.command(sql.replace("{table}", table))
    assert caught.value.code == code


def test_words_that_only_look_forbidden_are_allowed(reader: Client) -> None:
    """Names inside strings, comments and column names do not count."""
    row = reader.query("SELECT 'file(x) INTO OUTFILE' AS file, 1 AS url -- url('x')\n").first_row
    assert row == ("file(x) INTO OUTFILE", 1)


def test_owner_may_reach_files(owner: Client) -> None:
    """The owner of the machine's own stack keeps the engine's functions."""
    assert owner.query("SELECT count() > 0 FROM file('/etc/passwd', 'LineAsString')").first_row == (1,)


@pytest.mark.parametrize(("asked", "found"), [("5", "5"), ("61", "60"), ("0", "60")])
def test_a_reader_may_limit_itself_more(engine: ClickHouseOptions, asked: str, found: str) -> None:
    """A limit that a client sets counts as long as it is no wider than its user's; 0 would be none."""
    sql = "SELECT value FROM system.settings WHERE name = 'max_execution_time'"
    fields = {"query": sql, "max_execution_time": asked, "user": READER, "password": engine.reader_password}
    with urlopen(f"{engine.url}/?{urlencode(fields)}") as answer:
        assert answer.read().decode().strip() == found

"""The adapter's contract, seen through the stock ClickHouse client and plain HTTP."""

import dataclasses
import gzip
import http.client
import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from runbus.local.clickhouse import OWNER, ClickHouseOptions, clickhouse_service
from runbus.local.ports import LOOPBACK, free_port
from runbus.local.process import running
from tests.support.waiting import until

pytestmark = pytest.mark.integration

SLOW = "SELECT sleepEachRow(0.1) FROM numbers(30) SETTINGS max_block_size = 1"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseOptions]:
    """Yield an engine of this module's own: the reader's password is needed, whatever back end the others use."""
    home = tmp_path_factory.mktemp("adapter")
    options = ClickHouseOptions(home, free_port(), "owner-password", "reader-password")
    with running(clickhouse_service(options), home / "clickhouse.log"):
        yield options


def connect(engine: ClickHouseOptions, *, compress: str | bool = False, database: str = "default") -> Client:
    """Open the stock client as the owner."""
    return clickhouse_connect.get_client(
        dsn=engine.url, username=OWNER, password=engine.owner_password, compress=compress, database=database
    )


@pytest.fixture
def owner(engine: ClickHouseOptions) -> Iterator[Client]:
    """Yield the owner's client."""
    client = connect(engine)
    yield client
    client.close()


@pytest.fixture
def table(owner: Client) -> Iterator[str]:
    """Yield an empty table that remembers insert tokens."""
    name = f"t{uuid.uuid4().hex[:8]}"
    owner.command(
        f"CREATE TABLE {name} (id UInt64, note String) ENGINE = MergeTree ORDER BY id "
        "SETTINGS non_replicated_deduplication_window = 100"
    )
    yield name
    owner.command(f"DROP TABLE {name} SYNC")


@dataclasses.dataclass
class Answer:
    """A plain HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def post(engine: ClickHouseOptions, body: bytes, headers: dict[str, str] | None = None, **query: str) -> Answer:
    """Send a request as the owner without any client library."""
    connection = http.client.HTTPConnection(LOOPBACK, engine.port, timeout=30)
    account = {"X-ClickHouse-User": OWNER, "X-ClickHouse-Key": engine.owner_password}
    try:
        connection.request("POST", "/?" + urlencode(query), body, {**account, **(headers or {})})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def test_native_rows_round_trip(owner: Client, table: str) -> None:
    """Rows written in the client's own format come back equal."""
    rows = [(1, "one"), (2, "two \n\t'"), (2**64 - 1, "ünïcode")]
    assert owner.insert(table, rows, column_names=["id", "note"]).written_rows == 3
    assert list(owner.query(f"SELECT * FROM {table} ORDER BY id").result_rows) == rows


def test_types_that_runbus_uses_round_trip(owner: Client) -> None:
    """Arrays, maps, low cardinality, decimals and times keep value and type."""
    row = owner.query(
        "SELECT [1.5, 2]::Array(Float64), map('a', 1::Int64), 'x'::LowCardinality(String), "
        "toDateTime64('2026-11-23 01:02:03.123456', 6, 'UTC'), NULL::Nullable(Int8), unhex('00ff')"
    ).result_rows[0]
    assert row[:3] == ([1.5, 2.0], {"a": 1}, "x")
    assert row[3].microsecond == 123456
    assert row[4] is None


@pytest.mark.parametrize("fmt", ["CSV", "JSONEachRow", "TabSeparated"])
def test_raw_insert_takes_text_formats(owner: Client, table: str, fmt: str) -> None:
    """Inline data after FORMAT reaches the engine unchanged."""
    body = {"CSV": '7,"a;b"\n', "JSONEachRow": '{"id": 7, "note": "a;b"}\n', "TabSeparated": "7\ta;b\n"}[fmt]
    owner.raw_insert(table, insert_block=body, fmt=fmt)
    assert owner.query(f"SELECT * FROM {table}").result_rows == [(7, "a;b")]


def test_insert_with_values_and_select(owner: Client, table: str) -> None:
    """The two INSERT forms without FORMAT work."""
    owner.command(f"INSERT INTO {table} VALUES (1, 'a'), (2, 'b;c')")
    owner.command(f"INSERT INTO {table} SELECT id + 10, note FROM {table}")
    assert owner.command(f"SELECT count() FROM {table}") == 4


def test_same_token_is_stored_once(owner: Client, table: str) -> None:
    """A repeated token inserts nothing, another token does, and written_rows tells neither apart."""
    for token in ("a", "a", "b"):
        settings = {"insert_deduplication_token": token, "async_insert": 0, "insert_deduplicate": 1}
        summary = owner.raw_insert(table, insert_block=b"1,x\n2,y\n", fmt="CSV", settings=settings)
        assert summary.written_rows == 2
    assert owner.command(f"SELECT count() FROM {table}") == 4


@pytest.mark.parametrize(
    ("sql", "code", "status"),
    [
        ("SELECT nothing_here", 47, 404),
        ("SELECT * FROM no_such_table", 60, 404),
        ("SELECT * FROM no_such_db.t", 81, 404),
        ("SELEC 1", 62, 400),
        ("SELECT 1; SELECT 2", 62, 400),
        ("SELECT toInt8('x')", 6, 400),
        ("SELECT throwIf(1)", 395, 500),
        ("SELECT 1 SETTINGS no_such_setting = 1", 115, 404),
        ("SELECT sleepEachRow(0.2) FROM numbers(50) SETTINGS max_execution_time = 1, max_block_size = 1", 159, 408),
    ],
)
def test_errors_carry_code_and_status(engine: ClickHouseOptions, sql: str, code: int, status: int) -> None:
    """An engine's error keeps its text, its code in a header, and the status of a ClickHouse server."""
    answer = post(engine, sql.encode(), wait_end_of_query="1")
    assert (answer.status, answer.headers["x-clickhouse-exception-code"]) == (status, str(code))
    assert answer.body.startswith(f"Code: {code}. DB::Exception: ".encode())


def test_client_raises_with_the_code(owner: Client) -> None:
    """The stock client turns the answer into its own exception with code and name."""
    with pytest.raises(DatabaseError) as caught:
        owner.query("SELECT * FROM no_such_table")
    assert (caught.value.code, caught.value.name) == (60, "UNKNOWN_TABLE")


def test_unknown_setting_in_the_url_is_refused(engine: ClickHouseOptions) -> None:
    """A misspelt setting is an error and never ignored."""
    assert post(engine, b"SELECT 1", no_such_setting="1").headers["x-clickhouse-exception-code"] == "115"
    assert post(engine, b"SELECT 1", None, **{"a = 1, b": "1"}).headers["x-clickhouse-exception-code"] == "115"


def test_malformed_data_stores_nothing(engine: ClickHouseOptions, owner: Client, table: str) -> None:
    """One bad row fails the whole insert."""
    answer = post(engine, b"1,a\nx,b\n", query=f"INSERT INTO {table} FORMAT CSV", async_insert="0")
    assert (answer.status, answer.headers["x-clickhouse-exception-code"]) == (400, "27")
    assert owner.command(f"SELECT count() FROM {table}") == 0


def test_parameters_are_bound_by_the_engine(owner: Client) -> None:
    """Quotes in a parameter stay data."""
    tricky = "a' OR 1=1 --\\\n\t`"
    query = "SELECT {s:String}, {n:Int64}, {a:Array(String)}"
    row = owner.query(query, parameters={"s": tricky, "n": -5, "a": ["x", tricky]}).first_row
    assert row == (tricky, -5, ["x", tricky])


def test_long_parameters_go_as_a_form(engine: ClickHouseOptions) -> None:
    """A client that form-encodes its query gets the same answer."""
    client = clickhouse_connect.get_client(
        dsn=engine.url, username=OWNER, password=engine.owner_password, form_encode_query_params=True
    )
    text = "x" * 300_000
    assert client.query("SELECT length({s:String})", parameters={"s": text}).first_row == (300_000,)
    client.close()


def test_database_of_the_client_is_used(engine: ClickHouseOptions, owner: Client, database: str) -> None:
    """Unqualified names resolve in the database of the connection; an unknown one is error 81."""
    owner.command(f"CREATE DATABASE {database}")
    client = connect(engine, database=database)
    client.command("CREATE TABLE here (a Int8) ENGINE = Memory")
    assert client.command("SELECT currentDatabase()") == database
    client.close()
    owner.command(f"DROP DATABASE {database}")
    assert post(engine, b"SELECT 1", database="no_such_db").headers["x-clickhouse-exception-code"] == "81"


def test_settings_do_not_leak_into_the_next_request(owner: Client) -> None:
    """Each request starts from the defaults."""
    changed = owner.query("SELECT getSetting('max_threads')", settings={"max_threads": 7}).first_row
    assert changed == (7,)
    assert owner.query("SELECT getSetting('max_threads')").first_row != (7,)


@pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip"])
def test_compression_both_ways(engine: ClickHouseOptions, owner: Client, table: str, compress: str) -> None:
    """Compressed inserts and compressed results keep every row."""
    client = connect(engine, compress=compress)
    rows = [(i, f"note {i}") for i in range(20_000)]
    client.insert(table, rows, column_names=["id", "note"])
    assert list(client.query(f"SELECT * FROM {table} ORDER BY id").result_rows) == rows
    with client.query_rows_stream(f"SELECT * FROM {table} ORDER BY id") as stream:
        assert list(stream) == rows
    client.close()


def test_response_is_really_compressed(engine: ClickHouseOptions) -> None:
    """gzip is used when asked for, and not when the client did not enable it."""
    sql = b"SELECT number FROM numbers(10000) FORMAT TSV"
    packed = post(engine, sql, {"Accept-Encoding": "gzip"}, enable_http_compression="1")
    plain = post(engine, sql, {"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body)


def test_corrupt_compressed_body_is_refused(engine: ClickHouseOptions) -> None:
    """Bytes that do not decompress are the client's error."""
    answer = post(engine, b"not gzip", {"Content-Encoding": "gzip"}, query="INSERT INTO t FORMAT CSV")
    assert answer.headers["x-clickhouse-exception-code"] == "271"
    assert post(engine, b"x", {"Content-Encoding": "snappy"}).status == 501


def test_sixty_four_mebibytes_in_one_insert(owner: Client, table: str) -> None:
    """The sink's largest body arrives whole and as one part."""
    body = b"".join(b"%d,%s\n" % (i, b"x" * 1000) for i in range(64 << 10))
    owner.raw_insert(table, insert_block=body, fmt="CSV", settings={"async_insert": 0, "max_insert_threads": 1})
    assert owner.query(f"SELECT count(), sum(length(note)) FROM {table}").first_row == (65536, 65_536_000)
    assert owner.command(f"SELECT count() FROM system.parts WHERE table = '{table}' AND active") == 1


def test_body_above_the_limit_is_refused(engine: ClickHouseOptions) -> None:
    """A body that would fill the memory is refused with 413."""
    connection = http.client.HTTPConnection(LOOPBACK, engine.port, timeout=60)
    account = {"X-ClickHouse-User": OWNER, "X-ClickHouse-Key": engine.owner_password, "Content-Length": str(300 << 20)}
    connection.putrequest("POST", "/?query=INSERT+INTO+t+FORMAT+CSV")
    for name, value in account.items():
        connection.putheader(name, value)
    connection.endheaders()
    piece = b"1,x\n" * (1 << 20)
    try:
        for _ in range(75):
            connection.send(piece)
    except OSError:
        pass  # it may close before everything is sent
    else:
        assert connection.getresponse().status == 413
    connection.close()


def test_large_result_streams_in_pieces(owner: Client) -> None:
    """A streamed SELECT yields every row."""
    with owner.query_column_block_stream("SELECT number FROM numbers(3000000)") as stream:
        assert sum(sum(block[0]) for block in stream) == sum(range(3_000_000))


def test_client_that_leaves_stops_its_query(engine: ClickHouseOptions, owner: Client) -> None:
    """After an early disconnect the query ends and the engine goes on serving."""
    connection = http.client.HTTPConnection(LOOPBACK, engine.port, timeout=30)
    account = {"X-ClickHouse-User": OWNER, "X-ClickHouse-Key": engine.owner_password}
    marker = f"marker_{uuid.uuid4().hex}"
    connection.request(
        "POST", "/", f"SELECT number AS {marker} FROM numbers(100000000000) FORMAT TSV".encode(), account
    )
    response = connection.getresponse()
    assert response.read(100_000)
    response.close()
    connection.close()

    def is_over() -> bool:
        found = f"SELECT count() FROM system.processes WHERE query LIKE '%{marker}%' AND query NOT LIKE '%processes%'"
        return bool(owner.command(found) == 0)

    until("the query is over", is_over)


def test_late_error_is_told_inside_the_stream(owner: Client) -> None:
    """An error after the first rows is an exception for the client and never a short result."""
    sql = "SELECT throwIf(number = 2000000, 'too late') FROM numbers(4000000)"
    with pytest.raises(ClickHouseError, match="too late"), owner.query_rows_stream(sql) as stream:
        for _ in stream:
            pass


def test_inserts_go_on_while_readers_are_slow(engine: ClickHouseOptions, owner: Client, table: str) -> None:
    """Slow reads that take every thread of theirs do not delay an insert."""
    with ThreadPoolExecutor(40) as pool:
        clients = [connect(engine) for _ in range(40)]
        reads = [pool.submit(client.query, SLOW) for client in clients[:31]]
        running = "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow%'"
        until("all of them run", lambda: bool(owner.command(running) == 32))  # counts itself
        reads += [pool.submit(client.query, SLOW) for client in clients[31:]]
        owner.raw_insert(table, insert_block=b"1,x\n", fmt="CSV", settings={"async_insert": 0})
        assert not any(read.done() for read in reads)
    assert all(read.result().row_count == 30 for read in reads)


def test_concurrent_inserts_and_reads(engine: ClickHouseOptions, owner: Client, table: str) -> None:
    """Eight writers at once lose nothing."""

    def write(worker: int) -> None:
        client = connect(engine)
        for batch in range(10):
            rows = b"".join(b"%d,w\n" % (worker * 10_000 + batch * 100 + i) for i in range(100))
            client.raw_insert(table, insert_block=rows, fmt="CSV", settings={"async_insert": 0})
            client.query(f"SELECT max(id) FROM {table}")
        client.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert owner.query(f"SELECT count(), uniqExact(id) FROM {table}").first_row == (8000, 8000)


def test_get_does_not_write(engine: ClickHouseOptions, table: str) -> None:
    """A GET is read-only even for the owner, as with a server."""
    connection = http.client.HTTPConnection(LOOPBACK, engine.port, timeout=30)
    account = {"X-ClickHouse-User": OWNER, "X-ClickHouse-Key": engine.owner_password}
    connection.request("GET", "/?" + urlencode({"query": f"INSERT INTO {table} VALUES (1, 'a')"}), headers=account)
    response = connection.getresponse()
    assert (response.status, response.getheader("X-ClickHouse-Exception-Code")) == (500, "164")
    response.read()
    connection.request("GET", "/?" + urlencode({"query": "SELECT 1"}), headers=account)
    assert connection.getresponse().read() == b"1\n"
    connection.close()


@pytest.mark.parametrize("account", [(OWNER, "wrong"), ("nobody", "owner-password"), ("default", "")])
def test_wrong_password_is_refused(engine: ClickHouseOptions, account: tuple[str, str]) -> None:
    """An unknown name and a wrong password get the same answer."""
    headers = {"X-ClickHouse-User": account[0], "X-ClickHouse-Key": account[1]}
    answer = post(engine, b"SELECT 1", headers)
    assert (answer.status, answer.headers["x-clickhouse-exception-code"]) == (403, "516")


def test_summary_counts_rows(engine: ClickHouseOptions, table: str) -> None:
    """The summary header has what the client reads."""
    answer = post(engine, b"1,a\n2,b\n", query=f"INSERT INTO {table} FORMAT CSV", async_insert="0")
    assert json.loads(answer.headers["x-clickhouse-summary"])["written_rows"] == "2"


def test_statement_that_is_not_text_is_refused(engine: ClickHouseOptions) -> None:
    """Random bytes are a client's error, not a crash."""
    assert post(engine, b"SELECT '\xff\xfe'").status == 400
    assert post(engine, b"").body == b"Ok.\n"


def test_a_bare_get_of_the_root_is_answered_for_anybody(engine: ClickHouseOptions) -> None:
    """Waiters for a server ask so, testcontainers among them; with as much as a parameter it takes a user."""
    for path, status in (("/", 200), ("/?query=SELECT+1", 403), ("/?user=runbus", 403)):
        connection = http.client.HTTPConnection(LOOPBACK, engine.port)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert (answer.status, answer.read() == b"Ok.\n") == (status, status == 200)
        connection.close()

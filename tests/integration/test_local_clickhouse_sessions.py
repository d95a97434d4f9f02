"""Sessions of the local engine's HTTP interface, seen through the stock client and plain HTTP."""

from __future__ import annotations

import http.client
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from runbus.local.clickhouse import OWNER, READER, ClickHouseOptions, clickhouse_service
from runbus.local.ports import LOOPBACK, free_port
from runbus.local.process import running

pytestmark = pytest.mark.integration

NOT_FOUND, LOCKED, BAD_TIMEOUT = "372", "373", "374"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseOptions]:
    """Yield an engine of this module's own."""
    home = tmp_path_factory.mktemp("sessions")
    options = ClickHouseOptions(home, free_port(), "owner-password", "reader-password")
    with running(clickhouse_service(options), home / "clickhouse.log"):
        yield options


@pytest.fixture
def clients(engine: ClickHouseOptions) -> Iterator[tuple[Client, Client]]:
    """Yield two stock clients of the owner: each makes a session id of its own and sends it with every request."""
    one, two = (
        clickhouse_connect.get_client(dsn=engine.url, username=OWNER, password=engine.owner_password) for _ in range(2)
    )
    yield one, two
    one.close()
    two.close()


def ask(
    engine: ClickHouseOptions, statement: str, query: Mapping[str, str], *, method: str = "POST", reader: bool = False
) -> str:
    """Send a request without any client library; return ClickHouse's error code, or the answer."""
    connection = http.client.HTTPConnection(LOOPBACK, engine.port, timeout=30)
    name, password = (READER, engine.reader_password) if reader else (OWNER, engine.owner_password)
    account = {"X-ClickHouse-User": name, "X-ClickHouse-Key": password}
    parameters = query if method == "POST" else {"query": statement, **query}
    try:
        connection.request(method, "/?" + urlencode(parameters), statement if method == "POST" else None, account)
        response = connection.getresponse()
        body = response.read().decode()
        return response.getheader("X-ClickHouse-Exception-Code") or body.strip()
    finally:
        connection.close()


def test_a_temporary_table_lasts_and_is_the_session_s_own(clients: tuple[Client, Client]) -> None:
    """Created, filled in two ways and read by one client; another client has no such table, or one of its own."""
    one, two = clients
    one.command("CREATE TEMPORARY TABLE seen (id UInt64, note String)")
    one.insert("seen", [[1, "a"], [2, "b"]], column_names=["id", "note"])
    one.command("INSERT INTO seen SELECT number + 3, 'c' FROM numbers(2)")
    assert one.query("SELECT * FROM seen ORDER BY id").result_rows == [(1, "a"), (2, "b"), (3, "c"), (4, "c")]
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        two.query("SELECT * FROM seen")
    two.command("CREATE TEMPORARY TABLE seen (other Int8)")
    assert two.command("SELECT count() FROM seen") == 0
    assert one.command("SELECT count() FROM seen") == 4


def test_set_and_use_last_and_what_the_url_says_does_not(engine: ClickHouseOptions) -> None:
    """SET and USE are for the session; settings and database of one request's URL are for that request."""
    session = {"session_id": uuid.uuid4().hex}
    state = "SELECT getSetting('max_threads'), getSetting('max_block_size'), currentDatabase()"
    ask(engine, "SET max_threads = 3", session)
    default = ask(engine, state, session)
    assert default.startswith("3\t")
    assert (
        ask(engine, state, {**session, "max_threads": "5", "max_block_size": "77", "database": "system"})
        == "5\t77\tsystem"
    )
    assert ask(engine, state, session) == default
    ask(engine, "USE system", session)
    assert ask(engine, "SELECT currentDatabase()", session) == "system"
    assert ask(engine, "SELECT 1", {**session, "no_such_setting": "1"}) == "115"
    assert ask(engine, "SELECT getSetting('max_threads')", session) == "3"


def test_a_session_that_was_unused_for_its_timeout_is_gone(engine: ClickHouseOptions) -> None:
    """session_timeout counts from the last use; session_check tells whether the session is there."""
    session = {"session_id": uuid.uuid4().hex, "session_timeout": "2"}
    assert ask(engine, "SELECT 1", {**session, "session_check": "1"}) == NOT_FOUND
    assert ask(engine, "CREATE TEMPORARY TABLE t (x Int8)", session) == ""
    for _ in range(3):
        time.sleep(1)
        assert ask(engine, "SELECT count() FROM t", {**session, "session_check": "1"}) == "0"
    time.sleep(2.5)
    assert ask(engine, "SELECT count() FROM t", {**session, "session_check": "1"}) == NOT_FOUND
    assert ask(engine, "SELECT count() FROM t", session) == "60"
    assert ask(engine, "SELECT 1", {**session, "close_session": "1"}) == "1"
    assert ask(engine, "SELECT 1", {**session, "session_check": "1"}) == NOT_FOUND


@pytest.mark.parametrize("timeout", ["3601", "soon", "-1"])
def test_a_timeout_that_a_server_refuses_is_refused(engine: ClickHouseOptions, timeout: str) -> None:
    """More than an hour and what is no number have the server's code."""
    assert ask(engine, "SELECT 1", {"session_id": "x", "session_timeout": timeout}) == BAD_TIMEOUT


@pytest.mark.parametrize("reader", [False, True], ids=["owner", "reader"])
def test_a_session_serves_one_request_at_a_time(engine: ClickHouseOptions, *, reader: bool) -> None:
    """A second request meanwhile is refused at once with the server's code; afterwards the session is free again."""
    session = {"session_id": uuid.uuid4().hex}
    answers: list[str] = []

    def slow() -> None:
        # Until it is not itself the second request.
        while not answers or answers[-1] == LOCKED:
            answers.append(ask(engine, "SELECT sum(sleepEachRow(0.1)) FROM numbers(20)", session, reader=reader))

    first = threading.Thread(target=slow)
    first.start()
    while ask(engine, "SELECT 1", session, reader=reader) != LOCKED:
        assert first.is_alive()
        time.sleep(0.1)
    assert ask(engine, "SELECT 1", {"session_id": "another"}, reader=reader) == "1"
    assert ask(engine, "SELECT 1", session, reader=not reader) == "1", "the same id of another user is another session"
    first.join(30)
    assert answers[-1] == "0"
    assert ask(engine, "SELECT 1", {**session, "session_check": "1"}, reader=reader) == "1"


def test_a_session_gives_nobody_more_rights(engine: ClickHouseOptions) -> None:
    """A reader writes nothing, a GET of the owner writes nothing and sees the temporary table."""
    session = {"session_id": uuid.uuid4().hex}
    assert ask(engine, "CREATE TEMPORARY TABLE t (x Int8)", session, reader=True) == "164"
    assert ask(engine, "CREATE TEMPORARY TABLE t (x Int8)", session) == ""
    assert ask(engine, "INSERT INTO t VALUES (1)", session, method="GET") == "164"
    assert ask(engine, "SELECT count() FROM t", session, method="GET") == "0"
    assert ask(engine, "INSERT INTO t VALUES (1)", session) == ""
    assert ask(engine, "SELECT count() FROM t", session, reader=True) == "60"


def test_a_stream_that_nobody_reads_to_its_end_frees_its_session(
    engine: ClickHouseOptions, clients: tuple[Client, Client]
) -> None:
    """A client that leaves in the middle of a result can go on in the same session."""
    one, _ = clients
    one.command("CREATE TEMPORARY TABLE kept (x Int8)")
    with one.query_row_block_stream("SELECT number FROM numbers(50000000)") as blocks:
        next(iter(blocks))
    deadline = time.monotonic() + 20
    while _refusal(one, "SELECT count() FROM kept") == LOCKED:
        assert time.monotonic() < deadline
    assert one.command("SELECT count() FROM kept") == 0
    assert ask(engine, "SELECT 1", {}) == "1"


def _refusal(client: Client, statement: str) -> str:
    """Return the code of a refused statement, "" if it ran."""
    try:
        client.command(statement)
    except DatabaseError as error:
        return LOCKED if "SESSION_IS_LOCKED" in str(error) else str(error)
    return ""


@pytest.mark.parametrize(
    "statement", ["SELECT number FROM numbers(3000)", "SELECT throwIf(number = 2999) FROM numbers(3000)"]
)
def test_a_client_that_asks_again_at_once_finds_its_session_free(
    clients: tuple[Client, Client], statement: str
) -> None:
    """A streamed answer, whole or broken off by an error, gives its session back before the client sees the end."""
    one, _ = clients
    for _ in range(50):
        assert LOCKED not in {_refusal(one, f"{statement} FORMAT TabSeparated"), _refusal(one, "SELECT 1")}

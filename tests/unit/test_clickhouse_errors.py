"""Driver errors become five classes, by a table."""

import pickle
import re

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, ProgrammingError
from clickhouse_connect.driver.summary import QuerySummary
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError, ReadTimeoutError

from runbus.clickhouse.errors import (
    CODES,
    Ambiguous,
    Capacity,
    Configuration,
    DataError,
    StoreError,
    Unknown,
    acknowledged,
    translate,
    translated,
)
from runbus.config.errors import RunBusError


def server(code: int, name: str, text: str = "what happened") -> DatabaseError:
    """Return what clickhouse-connect raises for an answer with an error number."""
    return DatabaseError(
        f"Received ClickHouse exception, code: {code}, server response: Code: {code}. DB::Exception: {text}. ({name}) "
        "(version 26.9.2.1 (official build)) (for url http://127.0.0.1:8123)",
        code=code,
        name=name,
    )


def wrapped(cause: Exception) -> OperationalError:
    """Return what clickhouse-connect raises when the connection fails."""
    error = OperationalError(f"Error {cause} executing HTTP request attempt 1 (http://127.0.0.1:8123)")
    error.__cause__ = cause
    return error


PAIRS: list[tuple[Exception, type[StoreError], int | None]] = [
    (server(395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"), DataError, 395),
    (server(748, "AVRO_EXCEPTION"), DataError, 748),
    (server(1001, "STD_EXCEPTION", "std::exception. Code: 1001, type: avro::Exception, EOF reached"), DataError, 1001),
    (server(1001, "STD_EXCEPTION", "std::exception: something else"), Unknown, 1001),
    (server(33, "CANNOT_READ_ALL_DATA"), DataError, 33),
    (server(6, "CANNOT_PARSE_TEXT"), DataError, 6),
    (server(190, "SIZES_OF_ARRAYS_DONT_MATCH"), DataError, 190),
    (server(60, "UNKNOWN_TABLE"), Configuration, 60),
    (server(81, "UNKNOWN_DATABASE"), Configuration, 81),
    (server(516, "AUTHENTICATION_FAILED"), Configuration, 516),
    (server(229, "QUERY_IS_TOO_LARGE"), Configuration, 229),
    (server(164, "READONLY"), Configuration, 164),
    (server(497, "ACCESS_DENIED"), Configuration, 497),
    (server(115, "UNKNOWN_SETTING"), Configuration, 115),
    (server(764, "DEDUPLICATION_IS_NOT_POSSIBLE"), Configuration, 764),
    (server(252, "TOO_MANY_PARTS"), Capacity, 252),
    (server(241, "MEMORY_LIMIT_EXCEEDED"), Capacity, 241),
    (server(243, "NOT_ENOUGH_SPACE"), Capacity, 243),
    (server(202, "TOO_MANY_SIMULTANEOUS_QUERIES"), Capacity, 202),
    (server(745, "SERVER_OVERLOADED"), Capacity, 745),
    (server(159, "TIMEOUT_EXCEEDED"), Ambiguous, 159),
    (server(319, "UNKNOWN_STATUS_OF_INSERT"), Ambiguous, 319),
    (server(999, "KEEPER_EXCEPTION"), Ambiguous, 999),
    (server(49, "LOGICAL_ERROR"), Unknown, 49),
    (server(36, "BAD_ARGUMENTS"), Unknown, 36),
    (DatabaseError("HTTP driver received HTTP status 404, server response: nginx"), Configuration, None),
    (DatabaseError("HTTP driver received HTTP status 401"), Configuration, None),
    (DatabaseError("HTTP driver received HTTP status 413"), Configuration, None),
    (DatabaseError("HTTP driver received HTTP status 302"), Configuration, None),
    (DatabaseError("Unexpected response to server version query: '<html>'"), Configuration, None),
    (OperationalError("HTTP driver received HTTP status 503"), Capacity, None),
    (OperationalError("HTTP driver received HTTP status 429"), Capacity, None),
    (OperationalError("HTTP driver received HTTP status 504"), Ambiguous, None),
    (DatabaseError("HTTP driver received HTTP status 418"), Unknown, None),
    (wrapped(ReadTimeoutError(None, "/", "Read timed out.")), Ambiguous, None),  # type: ignore[arg-type]
    (wrapped(ProtocolError("Connection aborted.", ConnectionResetError(104, "reset"))), Ambiguous, None),
    (wrapped(MaxRetryError(None, "/", NewConnectionError(None, "refused"))), Ambiguous, None),  # type: ignore[arg-type]
    (ReadTimeoutError(None, "/", "Read timed out."), Ambiguous, None),  # type: ignore[arg-type]
    (ConnectionResetError(104, "Connection reset by peer"), Ambiguous, None),
    (TimeoutError("timed out"), Ambiguous, None),
    (OperationalError("in the stream: Code: 241. DB::Exception: memory (MEMORY_LIMIT_EXCEEDED)"), Capacity, 241),
    (ProgrammingError("no number, no status"), Unknown, None),
]


@pytest.mark.parametrize(("raised", "kind", "code"), PAIRS, ids=lambda p: str(p)[:60])
def test_pairs(raised: Exception, kind: type[StoreError], code: int | None) -> None:
    """Each driver error is exactly one class, with the server's number."""
    error = translate(raised)
    assert (type(error), error.code) == (kind, code)


@pytest.mark.parametrize(
    ("summary", "kind"),
    [
        ({"query_id": ""}, Configuration),  # a page, a load balancer: nothing of it comes from a ClickHouse
        ({"query_id": "q"}, Ambiguous),  # a ClickHouse that began to answer: its summary comes last
        ({"query_id": "q", "read_rows": "5"}, Ambiguous),
    ],
)
def test_status_200_alone_is_no_acknowledgement(summary: dict[str, str], kind: type[StoreError]) -> None:
    """Only ClickHouse's own summary says that an insert is over."""
    with pytest.raises(kind):
        acknowledged(QuerySummary(summary))


def test_the_summary_is_the_acknowledgement() -> None:
    """How many rows it names does not matter: rows that were there before count too."""
    acknowledged(QuerySummary({"query_id": "", "written_rows": "0"}))


def test_text_keeps_the_cause_and_says_what_to_do() -> None:
    """The message has the server's words and the advice; version, URL and the expression's dump are gone."""
    error = translate(
        server(395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO", "runbus: steps.env bad: while executing 'FUNCTION throwIf' ")
    )
    assert error.text == "Code: 395. DB::Exception: runbus: steps.env bad (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO)"
    assert str(error).startswith(error.text)
    assert str(error).endswith(DataError.advice)


def test_long_text_is_cut() -> None:
    """A server that answers with megabytes does not fill the log."""
    assert len(translate(server(60, "UNKNOWN_TABLE", "x" * 100_000)).text) == 2_000


def test_boundary_translates_and_keeps_the_cause() -> None:
    """Inside the boundary the driver's error becomes ours, with the original as its cause."""
    original = server(60, "UNKNOWN_TABLE")
    with pytest.raises(Configuration) as caught, translated():
        raise original
    assert caught.value.__cause__ is original


def test_boundary_lets_others_pass() -> None:
    """A bug is not dressed up as a server error."""
    with pytest.raises(KeyError), translated():
        raise KeyError("bug")


@pytest.mark.parametrize("kind", [Ambiguous, Capacity, Configuration, DataError, Unknown])
def test_each_class_is_shown_to_users(kind: type[StoreError]) -> None:
    """Every class is a RunBusError with advice, and survives pickling."""
    error = kind("cause", 7)
    copy = pickle.loads(pickle.dumps(error))
    assert issubclass(kind, RunBusError)
    assert kind.advice
    assert (str(copy), copy.code, copy.text) == (f"cause. {kind.advice}", 7, "cause")


def test_no_number_is_in_two_classes() -> None:
    """The table is one decision a number."""
    from runbus.clickhouse import errors

    tables = (errors._AMBIGUOUS, errors._CAPACITY, errors._CONFIGURATION, errors._DATA)
    assert sum(map(len, tables)) == len(CODES)
    assert all(re.fullmatch(r"[A-Z_]+", name) for table in tables for name in table.values())

"""A failed question is one sentence about its cause, and advice for whoever asked."""

from __future__ import annotations

import pickle
import ssl
import unicodedata
from http.client import BadStatusLine, RemoteDisconnected

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError, ReadTimeoutError
from urllib3.exceptions import SSLError as TlsError

from runbus.clickhouse.asking import ADVICE, asked, asking
from runbus.clickhouse.errors import Ambiguous, Capacity, Configuration, DataError, StoreError, translate


def _server(code: int, name: str, text: str) -> DatabaseError:
    return DatabaseError(
        f"Received ClickHouse exception, code: {code}, server response: Code: {code}. DB::Exception: {text} ({name}) "
        "(version 26.9.2.1 (official build)) (for url http://127.0.0.1:8123)",
        code=code,
        name=name,
    )


def _unreachable(cause: Exception) -> OperationalError:
    error = OperationalError(f"Error {cause} executing HTTP request attempt 1 (http://ch:8123)")
    error.__cause__ = cause
    return error


def _retried(cause: Exception) -> MaxRetryError:
    return MaxRetryError(None, "/?query_id=1", cause)  # type: ignore[arg-type]


def _new_connection(cause: OSError) -> NewConnectionError:
    error = NewConnectionError(None, f"Failed to establish a new connection: {cause}")  # type: ignore[arg-type]
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (_server(62, "SYNTAX_ERROR", "Syntax error: failed at 8."), "Correct the statement at that place"),
        (_server(60, "UNKNOWN_TABLE", "Table default.x does not exist."), "`runbus migrate` creates RunBus's own"),
        (_server(81, "UNKNOWN_DATABASE", "Database x does not exist."), "Check CLICKHOUSE_DATABASE"),
        (_server(47, "UNKNOWN_IDENTIFIER", "Unknown identifier `x`."), "DESCRIBE TABLE steps"),
        (_server(497, "ACCESS_DENIED", "Not enough privileges."), "docs/security.md says who may read what"),
        (_server(516, "AUTHENTICATION_FAILED", "wrong."), "Check CLICKHOUSE_USER and CLICKHOUSE_PASSWORD"),
        (_server(164, "READONLY", "Cannot execute query in readonly mode."), "cannot write"),
        (_server(159, "TIMEOUT_EXCEEDED", "Timeout exceeded."), "Ask for less"),
        (_server(241, "MEMORY_LIMIT_EXCEEDED", "Memory limit exceeded."), "Ask for less"),
        (_server(202, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many."), "Ask again when"),
        (_server(73, "UNKNOWN_FORMAT", "Unknown format Nope."), "system.formats"),
        (_server(38, "CANNOT_PARSE_DATE", "Cannot parse date."), "Correct the statement"),
        (_server(43, "ILLEGAL_TYPE_OF_ARGUMENT", "Illegal type."), "Correct the statement"),
        (_server(49, "LOGICAL_ERROR", "oh."), "a fault of ClickHouse itself"),
        (DatabaseError("HTTP driver received HTTP status 404, server response: <html>"), "is not ClickHouse itself"),
    ],
)
def test_advice_fits_the_error(raised: DatabaseError, said: str) -> None:
    """Each class of errors says what the asker can do, and nothing of inserts or of this tool's classes."""
    text = str(asked(translate(raised)))
    assert said in text
    assert not [
        word for word in ("insert", "dead letter", "report it", "Code:", "DB::", "version", "url") if word in text
    ]
    if "UNKNOWN_TABLE" not in text and "UNKNOWN_DATABASE" not in text:
        assert "runbus migrate" not in text


@pytest.mark.parametrize(
    ("cause", "why"),
    [
        (_retried(_new_connection(ConnectionRefusedError(111, "Connection refused"))), "connection refused"),
        (_retried(_new_connection(OSError(113, "No route to host"))), "no route to host"),
        (ProtocolError("Connection aborted.", BadStatusLine("SSH-2.0")), "what answers there does not speak HTTP"),
        (ProtocolError("Connection aborted.", RemoteDisconnected("gone")), "the other end closed the connection"),
        (ProtocolError("Connection aborted.", ConnectionResetError(104, "r")), "the other end closed the connection"),
        (ReadTimeoutError(None, "/", "Read timed out."), "no answer in time"),  # type: ignore[arg-type]
        (_retried(TlsError(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"))), "no TLS is spoken"),
        (
            _retried(TlsError(ssl.SSLError(1, "[SSL] certificate verify failed: self-signed certificate (_ssl.c:1)"))),
            "certificate verify failed: self-signed certificate",
        ),
    ],
)
def test_no_answer_is_one_sentence(cause: Exception, why: str) -> None:
    """Where, and why, without the driver's objects and attempts."""
    error = asked(translate(_unreachable(cause)))
    assert type(error) is Ambiguous
    assert str(error).startswith(f"ClickHouse did not answer at http://ch:8123: {why}")
    assert "Check CLICKHOUSE_URL" in str(error)
    assert not [word for word in ("Pool", "Errno", "attempt", "Retr", "query_id", "insert") if word in str(error)]


def test_half_the_grammar_is_left_out() -> None:
    """The list of what could have stood there is longer than everything else."""
    expected = ", ".join(f"TOKEN{n}" for n in range(40))
    error = asked(translate(_server(62, "SYNTAX_ERROR", f"failed at position 8 (FORM). Expected one of: {expected}.")))
    assert error.text == "failed at position 8 (FORM). (SYNTAX_ERROR)"


def test_nothing_in_an_error_moves_the_cursor() -> None:
    """The server's text holds the user's SQL, and that may hold anything."""
    error = asked(translate(_server(62, "SYNTAX_ERROR", "failed at \x1b[2J\n\u202e.")))
    assert not [c for c in str(error) if unicodedata.category(c) in ("Cc", "Cf")]


def test_inserts_keep_their_advice() -> None:
    """The same error of an insert says what becomes of the insert."""
    for kind in (Ambiguous, Capacity, Configuration, DataError):
        assert kind("cause").advice == kind.advice
        own = pickle.loads(pickle.dumps(kind("cause", 1, "do this")))
        assert (type(own), str(own), own.code) == (kind, "cause. do this", 1)


def test_the_boundary_keeps_class_code_and_cause() -> None:
    """Inside the boundary the driver's error becomes ours; other exceptions pass."""
    original = _server(60, "UNKNOWN_TABLE", "x.")
    with pytest.raises(Configuration) as caught, asking():
        raise original
    assert (caught.value.code, caught.value.__cause__) == (60, original)
    with pytest.raises(KeyError), asking():
        raise KeyError("bug")
    assert all(text and not text.endswith(".") for text in ADVICE.values())


def test_an_error_that_is_ours_already_is_said_to_the_asker() -> None:
    """A StoreError from deeper down is not wrapped, only told in other words."""
    with pytest.raises(StoreError) as caught, asking():
        raise Ambiguous("ClickHouse did not answer")
    assert "insert" not in str(caught.value)

"""Sorts failed ClickHouse requests by what the caller does next. Only this file knows the driver's errors.

| class | meaning | the sink |
|---|---|---|
| Ambiguous | no answer: the insert may have happened | the same token again |
| Capacity | the server cannot take it now | pause, back off, the same token again |
| Configuration | wrong until someone changes something | pause and alarm, never skip |
| DataError | these bytes can never be stored | find the bad record |
| Unknown | none of the above is certain | pause and alarm, never skip |
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from clickhouse_connect.driver.exceptions import ClickHouseError, Error
from clickhouse_connect.driver.summary import QuerySummary
from urllib3.exceptions import HTTPError

from runbus.clickhouse.reasons import reason
from runbus.config.errors import RunBusError

#: Longer server texts (a stack trace, the query) are cut: the begin names the cause.
MAX_TEXT = 2_000


class StoreError(RunBusError):
    """A ClickHouse request failed.

    Attributes:
        code: ClickHouse's error number (ErrorCodes.cpp), or None when no server answered.
        text: what the server or the connection said.
        advice: what to do; that of the class is for inserts.
    """

    advice: str = ""

    def __init__(self, text: str, code: int | None = None, advice: str | None = None) -> None:
        """Take the cause; the message adds what to do."""
        self.code = code
        self.text = text
        self.advice = type(self).advice if advice is None else advice
        super().__init__(f"{text.rstrip('.')}. {self.advice}" if self.advice else text)

    def __reduce__(self) -> tuple[type[StoreError], tuple[str, int | None, str]]:
        """Pickle by cause, code and advice: the default would add the advice twice."""
        return type(self), (self.text, self.code, self.advice)


class Ambiguous(StoreError):
    """Timeout, reset, lost coordination: the request may have been carried out."""

    advice = "Nothing is lost: the same insert with the same token is safe. Check that ClickHouse is reachable"


class Capacity(StoreError):
    """The server refuses for now: memory, disk, too many parts or queries."""

    advice = "Nothing is lost, it is retried. Give ClickHouse more room (memory, disk, merges) or fewer writers"


class Configuration(StoreError):
    """Unknown table or database, authentication, rights, a setting: the same at every retry."""

    advice = "Run `runbus migrate`, and check the CLICKHOUSE_* settings and the user's rights"


class DataError(StoreError):
    """The bytes cannot be read, or a view refused them: the same at every retry."""

    advice = "Nothing of this insert was stored. The record belongs to the dead letters"


class Unknown(StoreError):
    """An error that is in no table: nothing may be concluded from it."""

    advice = "Please report it: this error is in no class yet, so nothing was skipped"


_AMBIGUOUS: Mapping[int, str] = {
    95: "CANNOT_READ_FROM_SOCKET",
    96: "CANNOT_WRITE_TO_SOCKET",
    159: "TIMEOUT_EXCEEDED",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    225: "NO_ZOOKEEPER",
    236: "ABORTED",
    244: "UNEXPECTED_ZOOKEEPER_ERROR",
    279: "ALL_CONNECTION_TRIES_FAILED",
    286: "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE",
    319: "UNKNOWN_STATUS_OF_INSERT",
    394: "QUERY_WAS_CANCELLED",
    659: "UNKNOWN_STATUS_OF_TRANSACTION",
    735: "QUERY_WAS_CANCELLED_BY_CLIENT",
    999: "KEEPER_EXCEPTION",
}
TOO_MANY_PARTS = 252
_CAPACITY: Mapping[int, str] = {
    75: "CANNOT_WRITE_TO_FILE_DESCRIPTOR",
    160: "TOO_SLOW",
    173: "CANNOT_ALLOCATE_MEMORY",
    201: "QUOTA_EXCEEDED",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    203: "NO_FREE_CONNECTION",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    TOO_MANY_PARTS: "TOO_MANY_PARTS",
    254: "NO_ACTIVE_REPLICAS",
    285: "TOO_FEW_LIVE_REPLICAS",
    289: "REPLICA_IS_NOT_IN_QUORUM",
    294: "CANNOT_WRITE_TO_FILE",
    364: "RECEIVED_ERROR_TOO_MANY_REQUESTS",
    439: "CANNOT_SCHEDULE_TASK",
    574: "DISTRIBUTED_TOO_MANY_PENDING_BYTES",
    692: "TOO_MANY_MUTATIONS",
    700: "USER_SESSION_LIMIT_EXCEEDED",
    745: "SERVER_OVERLOADED",
    749: "TCP_CONNECTION_LIMIT_REACHED",
    762: "HTTP_CONNECTION_LIMIT_REACHED",
    776: "RESOURCE_LIMIT_EXCEEDED",
    777: "MEMORY_RESERVATION_KILLED",
    778: "MEMORY_RESERVATION_FAILED",
}
_CONFIGURATION: Mapping[int, str] = {
    8: "THERE_IS_NO_COLUMN",
    10: "NOT_FOUND_COLUMN_IN_BLOCK",
    16: "NO_SUCH_COLUMN_IN_TABLE",
    44: "ILLEGAL_COLUMN",
    46: "UNKNOWN_FUNCTION",
    47: "UNKNOWN_IDENTIFIER",
    48: "NOT_IMPLEMENTED",
    50: "UNKNOWN_TYPE",
    53: "TYPE_MISMATCH",
    60: "UNKNOWN_TABLE",
    62: "SYNTAX_ERROR",
    73: "UNKNOWN_FORMAT",
    81: "UNKNOWN_DATABASE",
    115: "UNKNOWN_SETTING",
    164: "READONLY",
    192: "UNKNOWN_USER",
    193: "WRONG_PASSWORD",
    194: "REQUIRED_PASSWORD",
    195: "IP_ADDRESS_NOT_ALLOWED",
    218: "TABLE_IS_DROPPED",
    229: "QUERY_IS_TOO_LARGE",
    291: "DATABASE_ACCESS_DENIED",
    344: "SUPPORT_IS_DISABLED",
    452: "SETTING_CONSTRAINT_VIOLATION",
    472: "READONLY_SETTING",
    497: "ACCESS_DENIED",
    516: "AUTHENTICATION_FAILED",
    720: "USER_EXPIRED",
    764: "DEDUPLICATION_IS_NOT_POSSIBLE",
    774: "TABLE_IS_PERMANENTLY_READ_ONLY",
}
_DATA: Mapping[int, str] = {
    3: "UNEXPECTED_END_OF_FILE",
    6: "CANNOT_PARSE_TEXT",
    25: "CANNOT_PARSE_ESCAPE_SEQUENCE",
    26: "CANNOT_PARSE_QUOTED_STRING",
    27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
    32: "ATTEMPT_TO_READ_AFTER_EOF",
    33: "CANNOT_READ_ALL_DATA",
    38: "CANNOT_PARSE_DATE",
    41: "CANNOT_PARSE_DATETIME",
    69: "ARGUMENT_OUT_OF_BOUND",
    72: "CANNOT_PARSE_NUMBER",
    117: "INCORRECT_DATA",
    128: "TOO_LARGE_ARRAY_SIZE",
    131: "TOO_LARGE_STRING_SIZE",
    190: "SIZES_OF_ARRAYS_DONT_MATCH",
    321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN",
    395: "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO",
    469: "VIOLATED_CONSTRAINT",
    632: "UNEXPECTED_DATA_AFTER_PARSED_VALUE",
    691: "UNKNOWN_ELEMENT_OF_ENUM",
    748: "AVRO_EXCEPTION",
}

#: Error number -> class.
CODES: Mapping[int, type[StoreError]] = {
    **dict.fromkeys(_AMBIGUOUS, Ambiguous),
    **dict.fromkeys(_CAPACITY, Capacity),
    **dict.fromkeys(_CONFIGURATION, Configuration),
    **dict.fromkeys(_DATA, DataError),
}
#: The same numbers with ClickHouse's names.
CODE_NAMES: Mapping[int, str] = {**_AMBIGUOUS, **_CAPACITY, **_CONFIGURATION, **_DATA}

#: HTTP status -> class, for answers without an error number: a proxy, or not a ClickHouse at all.
STATUSES: Mapping[int, type[StoreError]] = {
    **dict.fromkeys((301, 302, 303, 307, 308, 401, 403, 404, 405, 413), Configuration),
    **dict.fromkeys((429, 503), Capacity),
    **dict.fromkeys((408, 502, 504), Ambiguous),
}

_STATUS = re.compile(r"HTTP status (\d{3})")
_CODE = re.compile(r"\bCode: (\d+)\. ")
#: Text of the driver and the server around the cause: prefixes, the expression, the version, the URL, a stack trace.
_NOISE = re.compile(
    r"^Received ClickHouse exception, code: \d+, server response: |"
    r": while (?:executing|pushing to view|converting).*(?=\s\([A-Z][A-Z0-9_]+\))|"
    r"\s*\(version [^()]*(?:\([^()]*\)[^()]*)*\)|\s*\(for url [^)]*\)|\s*Stack trace:.*",
    re.DOTALL,
)


#: The driver's text if its first answer is not from a ClickHouse.
_NO_VERSION = "Unexpected response to server version query"


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's exceptions into a StoreError; other exceptions pass."""
    try:
        yield
    except (ClickHouseError, HTTPError, OSError) as error:
        raise translate(error) from error


def translate(error: Exception) -> StoreError:
    """Return the StoreError for an exception of clickhouse-connect, urllib3 or a socket."""
    text = _NOISE.sub("", str(error)).strip()[:MAX_TEXT] or type(error).__name__
    if _transport(error):
        return Ambiguous(f"ClickHouse did not answer{reason(error)}"[:MAX_TEXT])
    code = _code(error)
    if code is not None:
        return _by_code(code, text)
    if text.startswith(_NO_VERSION):
        return no_clickhouse(text)
    status = _STATUS.search(text)
    return STATUSES.get(int(status[1]), Unknown)(text) if status else Unknown(text)


def acknowledged(summary: QuerySummary) -> None:
    """Return if ClickHouse itself acknowledges an insert; raise if not.

    The driver takes any status 200: a login page, a load balancer that answers by itself, headers that were cut off.
    ClickHouse writes its summary last, behind the query id and the progress that it may send while it still works.

    Raises:
        Configuration: nothing in the answer comes from a ClickHouse.
        Ambiguous: a ClickHouse began to answer and did not end.
    """
    if "written_rows" in summary.summary:
        return
    if summary.query_id():
        raise Ambiguous("ClickHouse began to answer and did not end")
    raise no_clickhouse("status 200 without ClickHouse's summary")


def no_clickhouse(said: str) -> Configuration:
    """Return the error for an answer that no ClickHouse gave."""
    return Configuration(f"what answers at CLICKHOUSE_URL is not ClickHouse ({said}): look at what stands in between")


def _by_code(code: int, text: str) -> StoreError:
    # the Avro reader's own exceptions arrive under the number of any C++ exception
    kind = DataError if "avro::Exception" in text else CODES.get(code, Unknown)
    return kind(text, code)


def _code(error: Exception) -> int | None:
    if isinstance(error, Error) and error.code is not None:
        return error.code
    # a failure in the middle of a result comes without the header
    match = _CODE.search(str(error))
    return int(match[1]) if match else None


def _transport(error: Exception) -> bool:
    return isinstance(error, (HTTPError, OSError)) or isinstance(error.__cause__, (HTTPError, OSError))

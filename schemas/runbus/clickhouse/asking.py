"""Turns errors of queries into one sentence and advice for the user; the advice of `errors` is about inserts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from runbus.clickhouse.errors import Ambiguous, StoreError, translated
from runbus.config.terminal import printable

_ACCESS = "Check CLICKHOUSE_USER and CLICKHOUSE_PASSWORD"
_CORRECT = "Correct the statement; docs/sql.md has examples"
_SMALLER = "Ask for less: one run, fewer columns, a LIMIT"
_LATER = "Ask again when ClickHouse has less to do"

#: What to do, by ClickHouse's error number.
ADVICE: Mapping[int, str] = {
    **dict.fromkeys((8, 10, 16, 47), "`runbus query 'DESCRIBE TABLE steps'` shows the columns of a table"),
    46: "`SELECT name FROM system.functions` lists the functions",
    **dict.fromkeys((60, 218), "`runbus query 'SHOW TABLES'` lists the tables; `runbus migrate` creates RunBus's own"),
    62: "Correct the statement at that place; docs/sql.md has examples",
    73: "`SELECT name FROM system.formats WHERE is_output` lists the formats",
    81: "Check CLICKHOUSE_DATABASE; `runbus migrate` creates it",
    **dict.fromkeys((164, 452, 472), "What asks cannot write, and the settings of its user stay as they are"),
    **dict.fromkeys((192, 193, 194, 516, 720), _ACCESS),
    195: "The user may not come from this address (docs/security.md)",
    **dict.fromkeys((291, 497), "The user has no right to it; docs/security.md says who may read what"),
    **dict.fromkeys((158, 159, 160, 209, 229, 241, 307, 396), _SMALLER),
    **dict.fromkeys((173, 201, 202, 203, 439, 700, 745, 749, 762, 776, 777, 778), _LATER),
    **dict.fromkeys((49, 1001, 1002), "This is a fault of ClickHouse itself"),
    394: "Somebody stopped it",
}

_PREFIX = re.compile(r"^(?:Code: \d+\. DB::Exception: )+")
_EXPECTED = re.compile(r"\. Expected one of: [^()]{80,}(?=\. \([A-Z_]+\)$)", re.DOTALL)  # names half the grammar
_STATUS = re.compile(r"^HTTP driver received HTTP status (\d+).*", re.DOTALL)
_TWICE = re.compile(r"(\([A-Z_]+\))(?:\. \1)+$")


@contextmanager
def asking() -> Iterator[None]:
    """Turn the driver's exceptions into a StoreError with advice for a query; other exceptions pass."""
    try:
        with translated():
            yield
    except StoreError as error:
        raise asked(error) from error.__cause__


def asked(error: StoreError) -> StoreError:
    """Return the same error with advice for a query."""
    text = _TWICE.sub(r"\1", _EXPECTED.sub("", _PREFIX.sub("", error.text)))
    text = _STATUS.sub(r"what answers at CLICKHOUSE_URL is not ClickHouse itself (HTTP status \1)", text)
    return type(error)(printable(text), error.code, _advice(error))


def _advice(error: StoreError) -> str:
    if error.code is not None:
        return ADVICE.get(error.code, _CORRECT)
    if isinstance(error, Ambiguous):
        return "Check CLICKHOUSE_URL, and that ClickHouse is reachable there; `runbus up` starts a local one"
    return "Check CLICKHOUSE_URL"

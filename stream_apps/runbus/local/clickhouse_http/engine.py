"""Wraps chDB: an engine that owns a data directory, short-lived sessions, results, inserts and streams.

A fresh connection per request (0.2 ms) isolates settings and lets requests run in parallel; one connection is serial.
Everything here blocks: call it from a worker thread.
"""

from __future__ import annotations

import fcntl
import importlib
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbus.config.errors import RunBusError
from runbus.local.clickhouse_http.errors import UNKNOWN_SETTING, EngineError, engine_error
from runbus.local.clickhouse_http.sql import split_settings

if TYPE_CHECKING:
    from chdb.state.sqlitelike import Connection, StreamingResult

# Bodies of inserts wait here: in memory if the system has such a folder.
_SPOOL = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


@cache
def library() -> Any:  # noqa: ANN401 - chDB's module
    """Return chDB, which is loaded by the first call: its allocator does not survive a fork, so only engines load it.

    Where pyarrow is installed, chDB imports it for results that are not asked for here: a third of the engine's start.
    """
    arrow = sys.modules.get("pyarrow")
    sys.modules["pyarrow"] = None  # type: ignore[assignment] # that is how an import is made to fail
    try:
        return importlib.import_module("chdb")
    finally:
        if arrow is None:
            del sys.modules["pyarrow"]
        else:
            sys.modules["pyarrow"] = arrow


@dataclass(frozen=True, slots=True)
class Result:
    """A complete answer: the formatted bytes and the counters of X-ClickHouse-Summary."""

    body: bytes
    summary: dict[str, str] = field(default_factory=dict)


class ChdbEngine:
    """The one engine of this process on `path`, which no other process may open meanwhile."""

    def __init__(self, path: Path) -> None:
        """Take the directory (created when missing) and start. Raises RunBusError if another process has it."""
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = (path / "runbus.lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise RunBusError(
                f"{path} is in use by another process. Two engines on one directory would destroy it: "
                "stop the other ('runbus down'), or choose another directory."
            ) from error
        self._pin = library().connect(str(path))  # keeps the engine up between requests
        with self.session({}, {}, "") as session:
            names = session.run("SELECT lower(name) FROM system.table_functions", "TabSeparated", {}).body
        self.table_functions = frozenset(names.decode().split())

    def close(self) -> None:
        """Stop the engine and release the directory."""
        self._pin.close()
        self._lock.close()

    def open(self, settings: Mapping[str, str], limits: Mapping[str, str], database: str) -> ChdbSession:
        """Open a session: the client's `settings`, then `limits`, which win; `database` may be empty."""
        session = ChdbSession(library().connect(str(self.path)))
        try:
            session.prepare(settings, database)
            session.prepare(limits, "")  # last: they win, and one of them may be readonly
        except BaseException:
            session.close()
            raise
        return session

    @contextmanager
    def session(self, settings: Mapping[str, str], limits: Mapping[str, str], database: str) -> Iterator[ChdbSession]:
        """Open a session for the length of a `with` block."""
        session = self.open(settings, limits, database)
        try:
            yield session
        finally:
            session.close()


class ChdbSession:
    """One connection to the engine, for one request."""

    def __init__(self, connection: Connection, closed: Callable[[], None] | None = None) -> None:
        """Wrap a chDB connection; `closed` is called at the end."""
        self._connection = connection
        self.closed = closed

    def close(self) -> None:
        """End the session."""
        try:
            self._connection.close()
        finally:
            if self.closed is not None:
                self.closed()

    def prepare(self, settings: Mapping[str, str], database: str) -> None:
        """Choose the database, which may be empty, and change settings."""
        if database:
            self.run(self.use(database), "Null", {})
        try:
            self._set(settings)
        except EngineError:
            for name, value in settings.items():  # one by one, so that the error names its own
                self._set({name: value})
            raise

    @staticmethod
    def use(database: str) -> str:
        """Return the statement that chooses a database."""
        return f"USE {_identifier(database)}"

    def _set(self, settings: Mapping[str, str]) -> None:
        for name in settings:
            if not re.fullmatch(r"\w+", name):
                raise engine_error(UNKNOWN_SETTING, "UNKNOWN_SETTING", f"Unknown setting '{name}'.")
        if settings:
            changes = ", ".join(f"{name} = {literal(value)}" for name, value in settings.items())
            self.run(f"SET {changes}", "Null", {})

    def run(self, statement: str, output: str, parameters: Mapping[str, str]) -> Result:
        """Run a statement to its end; `parameters` fill `{name:Type}` places."""
        try:
            result = self._connection.query(statement, output, params=dict(parameters))
        except (library().ChdbError, RuntimeError) as error:
            raise EngineError(str(error)) from None
        summary = {
            "read_rows": result.storage_rows_read(),
            "read_bytes": result.storage_bytes_read(),
            "written_rows": result.rows_written(),
            "written_bytes": result.bytes_written(),
            "result_rows": result.rows_read(),
            "elapsed_ns": int(result.elapsed() * 1e9),
        }
        return Result(result.bytes(), {name: str(value) for name, value in summary.items()})

    def insert(self, head: str, input_format: str, data: bytes) -> Result:
        """Insert `data` in `input_format`; `head` is the INSERT statement up to its FORMAT clause."""
        before, settings = split_settings(head)
        with tempfile.NamedTemporaryFile(prefix="runbus-insert-", dir=_SPOOL) as spool:
            spool.write(data)
            spool.flush()
            # Never Connection.send_insert: it reports success if a materialised view of the table raises (chDB 4.4).
            source = f"FROM INFILE {literal(spool.name)} COMPRESSION 'none'"
            return self.run(f"{before} {source} {settings} FORMAT {input_format}", "Null", {})

    def stream(self, statement: str, output: str, parameters: Mapping[str, str]) -> ResultStream:
        """Start a SELECT whose result comes in pieces. The stream owns this session from here on."""
        try:
            return ResultStream(self, self._connection.send_query(statement, output, params=dict(parameters)))
        except (library().ChdbError, RuntimeError) as error:
            raise EngineError(str(error)) from None


class ResultStream:
    """A running SELECT. Close it: left to the garbage collector, it blocks the thread that happens to collect it."""

    def __init__(self, session: ChdbSession, result: StreamingResult) -> None:
        """Wrap a chDB streaming result and its session."""
        self._session = session
        self._result = result
        self._open = True

    def next(self) -> bytes | None:
        """Return the next piece, None at the end. Raises EngineError if the query fails meanwhile."""
        try:
            piece = self._result.fetch()  # type: ignore[no-untyped-call]
        except (library().ChdbError, RuntimeError) as error:
            raise EngineError(str(error)) from None
        return None if piece is None else piece.bytes()

    def close(self) -> None:
        """Cancel what still runs and end the session. Safe to call again."""
        if not self._open:
            return
        self._open = False
        try:
            self._result.close()  # type: ignore[no-untyped-call]
        finally:
            self._session.close()


def literal(value: str) -> str:
    """Return a string as SQL."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _identifier(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"

"""Keeps connections for requests with a `session_id`: temporary tables and SET last from one request to the next.

As a ClickHouse server has it: a session belongs to a user, serves one request at a time, and ends after it was unused
for its timeout. Settings and database of a request's URL are for that request only.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbus.local.clickhouse_http.engine import ChdbEngine, ChdbSession, library, literal
from runbus.local.clickhouse_http.errors import (
    INVALID_SESSION_TIMEOUT,
    SESSION_IS_LOCKED,
    SESSION_NOT_FOUND,
    EngineError,
    engine_error,
)

if TYPE_CHECKING:
    from chdb.state.sqlitelike import Connection

_DEFAULT_SECONDS, _MOST_SECONDS = 60, 3600  # a server's default_session_timeout and max_session_timeout


@dataclass(frozen=True, slots=True)
class SessionWish:
    """Says what a request wants of its session: parameters of the HTTP interface, see its documentation."""

    id: str
    timeout: str = ""
    must_exist: bool = False
    close: bool = False

    @property
    def seconds(self) -> int:
        """How long the session lives unused. Raises EngineError for what is no timeout."""
        if not self.timeout:
            return _DEFAULT_SECONDS
        if not (self.timeout.isascii() and self.timeout.isdigit()):
            raise _refused(INVALID_SESSION_TIMEOUT, f"Invalid session timeout: '{self.timeout}'")
        if int(self.timeout) > _MOST_SECONDS:
            text = f"Session timeout '{self.timeout}' is larger than max_session_timeout: {_MOST_SECONDS}"
            raise _refused(INVALID_SESSION_TIMEOUT, text)
        return int(self.timeout)


class KeptSession(ChdbSession):
    """A connection that the requests of one session use one after the other; `close` gives it back.

    `has_set`: a SET has run in it.
    """

    def __init__(self, connection: Connection, give_back: Callable[[], None]) -> None:
        """Wrap a connection; `give_back` is called at the end of each request."""
        super().__init__(connection)
        self._give_back = give_back
        self._undo: list[str] = []
        self.has_set = False

    def close(self) -> None:
        """Take back what was set for one request and let the next one in."""
        try:
            for statement in self._undo:
                with suppress(EngineError):
                    self.run(statement, "Null", {})
        finally:
            self._give_back()

    def prepare(self, settings: Mapping[str, str], database: str) -> None:
        """Apply the settings and the database of one request."""
        self._undo = self._current(settings, database)
        super().prepare(settings, database)

    def end(self) -> None:
        """End the session; its temporary tables are gone."""
        super().close()

    def _current(self, settings: Mapping[str, str], database: str) -> list[str]:
        """Return the statements that bring back what is set now."""
        undo = [f"SET {name} = DEFAULT" for name in settings if name.isidentifier()]
        if settings and self.has_set:  # looking takes some milliseconds
            names = ", ".join(literal(name) for name in settings)
            changed = f"SELECT name, value FROM system.settings WHERE changed AND name IN ({names})"  # noqa: S608
            found = self.run(changed, "JSONCompactEachRow", {})
            rows = [json.loads(line) for line in found.body.splitlines()]
            undo += [f"SET {name} = {literal(value)}" for name, value in rows]
        if database:
            name = self.run("SELECT currentDatabase()", "TabSeparatedRaw", {}).body.decode().rstrip("\n")
            undo.append(self.use(name))
        return undo


@dataclass(slots=True)
class _Entry:
    session: KeptSession
    seconds: int
    busy: bool
    used: float


class Sessions:
    """The sessions of one engine, by user and id."""

    def __init__(self, engine: ChdbEngine, clock: Callable[[], float] = time.monotonic) -> None:
        """There are none yet; `clock` returns seconds."""
        self.engine = engine
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, str], _Entry] = {}

    def take(self, user: str, wish: SessionWish) -> KeptSession:
        """Return the session for one request, which must `close` it. Raises EngineError 372, 373 or 374."""
        key, seconds = (user, wish.id), wish.seconds
        self.end_expired()
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                if wish.must_exist:
                    raise _refused(SESSION_NOT_FOUND, f"Session {wish.id} not found")
                session = KeptSession(library().connect(str(self.engine.path)), lambda: self._give_back(key))
                entry = self._entries[key] = _Entry(session, seconds, busy=False, used=self._clock())
            if entry.busy:
                raise _refused(SESSION_IS_LOCKED, f"Session {wish.id} is locked by a concurrent client")
            entry.busy = True
            entry.seconds = 0 if wish.close else seconds
        return entry.session

    def end_expired(self) -> None:
        """End the sessions that were unused for their timeout."""
        with self._lock:
            now = self._clock()
            old = [k for k, entry in self._entries.items() if not entry.busy and now - entry.used >= entry.seconds]
            ended = [self._entries.pop(key) for key in old]
        for entry in ended:
            entry.session.end()

    def _give_back(self, key: tuple[str, str]) -> None:
        with self._lock:
            entry = self._entries[key]
            entry.busy, entry.used = False, self._clock()
        self.end_expired()


_NAMES = {
    SESSION_NOT_FOUND: "SESSION_NOT_FOUND",
    SESSION_IS_LOCKED: "SESSION_IS_LOCKED",
    INVALID_SESSION_TIMEOUT: "INVALID_SESSION_TIMEOUT",
}


def _refused(code: int, text: str) -> EngineError:
    return engine_error(code, _NAMES[code], text)

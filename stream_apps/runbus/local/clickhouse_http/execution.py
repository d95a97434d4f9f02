"""Executes a command: checks who may run it, opens its connection, returns a complete answer or a stream."""

from runbus.local.clickhouse_http.engine import ChdbEngine, ChdbSession, Result, ResultStream, literal
from runbus.local.clickhouse_http.errors import READONLY, SYNTAX_ERROR, engine_error
from runbus.local.clickhouse_http.headers import HEADER_ROWS, HeadedStream
from runbus.local.clickhouse_http.requests import MARK, Command
from runbus.local.clickhouse_http.sessions import Sessions
from runbus.local.clickhouse_http.sql import (
    READING,
    first_word,
    is_single,
    output_format,
    refuse_outside_access,
    split_insert,
    text,
)
from runbus.local.clickhouse_http.users import User

# Formats whose pieces can be sent one after the other; the others have a frame around the rows (JSON, Pretty...).
_STREAMABLE = frozenset(
    {
        "Native",
        "RowBinary",
        "TabSeparated",
        "TSV",
        "TabSeparatedRaw",
        "TSVRaw",
        "CSV",
        "JSONEachRow",
        "JSONCompactEachRow",
        *HEADER_ROWS,
    }
)

_SETTING = frozenset({b"SET", b"USE"})


def execute(sessions: Sessions, command: Command, user: User) -> tuple[Result | ResultStream, str]:
    """Run a command; returns its result or a started stream, and the output format ("" if nothing is returned).

    Blocks. Raises EngineError.
    """
    kind = first_word(command.statement)
    _check(sessions.engine, command, user, kind)
    session = _open(sessions, command, user, kind)
    streaming = False
    try:
        if kind == b"INSERT":
            return _insert(session, command), ""
        query = (text(command.statement), command.output, command.parameters)
        output = output_format(command.statement, command.output) if kind in READING else ""
        if output in _STREAMABLE and kind in {b"SELECT", b"WITH", b"FROM"} and not command.wait:
            stream: ResultStream = session.stream(query[0], output, command.parameters)
            streaming = True
            if output in HEADER_ROWS:
                stream = HeadedStream(stream, HEADER_ROWS[output], lambda: session.run(*query).body)
            return stream, output
        return session.run(*query), output
    finally:
        if not streaming:
            session.close()


def _open(sessions: Sessions, command: Command, user: User, kind: bytes) -> ChdbSession:
    """Return the connection for a command: that of its session, else a new one."""
    limits = {name: most for name, most in user.settings.items() if not _stricter(command.settings.get(name), most)}
    marked = {MARK: command.mark} if command.mark and kind in READING else {}
    settings = {**marked, **command.settings}
    if not user.owner:
        limits["readonly"] = "1"
    elif command.read_only:
        limits["readonly"] = "2"  # as a server does for GET: settings may change, data may not
    if command.session is None:
        return sessions.engine.open(settings, limits, command.database)
    kept = sessions.take(user.name, command.session)
    try:
        if not user.owner:  # nothing that a reader may do lasts: its session is only held meanwhile
            session = sessions.engine.open(settings, limits, command.database)
            session.closed = kept.close
            return session
        limits.pop("readonly", None)  # it could not be taken back: the check of the statement stands for it
        if command.read_only and kind not in READING | _SETTING:
            raise engine_error(READONLY, "READONLY", f"{user.name}: Cannot execute query in readonly mode (GET).")
        kept.has_set |= kind == b"SET"
        kept.prepare({**settings, **limits}, command.database)
    except BaseException:
        kept.close()
        raise
    return kept


def _stricter(asked: str | None, most: str) -> bool:
    """Return whether a client limits itself more than its user is limited."""
    return asked is not None and asked.isdecimal() and most.isdecimal() and 0 < int(asked) <= int(most)


def cancel(engine: ChdbEngine, mark: str) -> None:
    """Stop the query with this mark, if it runs. Blocks for some milliseconds."""
    with engine.session({}, {}, "") as session:
        session.run(f"KILL QUERY WHERE Settings['{MARK}'] = {literal(mark)} ASYNC", "Null", {})


def _check(engine: ChdbEngine, command: Command, user: User, kind: bytes) -> None:
    if kind != b"INSERT" and not is_single(command.statement):
        raise engine_error(SYNTAX_ERROR, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed).")
    if user.owner:
        return
    if kind not in READING:
        raise engine_error(READONLY, "READONLY", f"{user.name}: Cannot execute query in readonly mode.")
    refuse_outside_access(command.statement, engine.table_functions)


def _insert(session: ChdbSession, command: Command) -> Result:
    insert = split_insert(command.statement)
    if insert is None:  # VALUES or SELECT: the statement is all there is
        statement = command.statement + (b"\n" + command.data if command.data else b"")
        return session.run(text(statement), "Null", command.parameters)
    inline = command.statement[insert.data_start :]
    data = inline + command.data if inline and command.data else inline or command.data
    return session.insert(insert.head, insert.format, data)

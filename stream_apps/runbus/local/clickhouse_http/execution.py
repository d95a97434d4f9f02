"""What a command does: who may run it, as what, and whether the answer is complete or a stream."""

from runbus.local.clickhouse_http.engine import Engine, Result, Session, Stream
from runbus.local.clickhouse_http.errors import READONLY, SYNTAX_ERROR, engine_error
from runbus.local.clickhouse_http.headers import HEADER_ROWS, HeadedStream
from runbus.local.clickhouse_http.requests import Command
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


def execute(engine: Engine, command: Command, user: User) -> tuple[Result | Stream, str]:
    """Run a command; returns its result or a started stream, and the output format ("" when nothing is returned).

    Blocks. Raises EngineError.
    """
    kind = first_word(command.statement)
    _check(engine, command, user, kind)
    limits = dict(user.settings)
    if not user.owner:
        limits["readonly"] = "1"
    elif command.read_only:
        limits["readonly"] = "2"  # as a server does for GET: settings may change, data may not
    session = engine.open(command.settings, limits, command.database)
    streaming = False
    try:
        if kind == b"INSERT":
            return _insert(session, command), ""
        output = output_format(command.statement, command.output) if kind in READING else ""
        if output in _STREAMABLE and kind in {b"SELECT", b"WITH", b"FROM"} and not command.wait:
            stream = session.stream(text(command.statement), output, command.parameters)
            streaming = True
            return _one_header(engine, command, limits, stream, output), output
        return session.run(text(command.statement), command.output, command.parameters), output
    finally:
        if not streaming:
            session.close()


def _one_header(engine: Engine, command: Command, limits: dict[str, str], stream: Stream, output: str) -> Stream:
    if output not in HEADER_ROWS:
        return stream

    def whole() -> bytes:
        with engine.session(command.settings, limits, command.database) as session:
            return session.run(text(command.statement), command.output, command.parameters).body

    return HeadedStream(stream, HEADER_ROWS[output], whole)


def _check(engine: Engine, command: Command, user: User, kind: bytes) -> None:
    if kind != b"INSERT" and not is_single(command.statement):
        raise engine_error(SYNTAX_ERROR, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed).")
    if user.owner:
        return
    if kind not in READING:
        raise engine_error(READONLY, "READONLY", f"{user.name}: Cannot execute query in readonly mode.")
    refuse_outside_access(command.statement, engine.table_functions)


def _insert(session: Session, command: Command) -> Result:
    insert = split_insert(command.statement)
    if insert is None:  # VALUES or SELECT: the statement is all there is
        statement = command.statement + (b"\n" + command.data if command.data else b"")
        return session.run(text(statement), "Null", command.parameters)
    inline = command.statement[insert.data_start :]
    data = inline + command.data if inline and command.data else inline or command.data
    return session.insert(insert.head, insert.format, data)

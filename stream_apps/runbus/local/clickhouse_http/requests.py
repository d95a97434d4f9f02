"""Reads a `Command` from an HTTP request: statement, data, parameters and settings, as ClickHouse defines them."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.requests import Request

from runbus.local.clickhouse_http.compression import inflate
from runbus.local.clickhouse_http.errors import BAD_ARGUMENTS, NOT_IMPLEMENTED, QUERY_IS_TOO_LARGE, engine_error
from runbus.local.clickhouse_http.sessions import SessionWish
from runbus.local.clickhouse_http.sql import first_word

MAX_BODY = 256 << 20  # bytes on the wire and after decompression; the sink sends up to 64 MiB
_MAX_FORM_FIELD = 16 << 20

#: The setting that holds the mark of a query; a client that uses it itself goes without.
MARK = "log_comment"
# URL parameters of the interface itself: everything else is a setting or param_<name>.
_TRANSPORT = frozenset(
    {"query", "database", "default_format", "query_id", "quota_key", "user", "password", "role", "stacktrace"}
    | {"session_id", "session_timeout", "session_check", "close_session", "session_timezone", "client_protocol_version"}
    | {
        "compress",
        "decompress",
        "buffer_size",
        "wait_end_of_query",
        "enable_http_compression",
        "http_zlib_compression_level",
    }
    | {
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "cancel_http_readonly_queries_on_client_close",
    }
)


@dataclass(frozen=True, slots=True)
class Command:
    """One request to the engine.

    `data` is the body of an INSERT whose statement came in the URL, else empty. By `mark` its query is found again when
    its client leaves; empty = it goes on then.
    """

    statement: bytes
    data: bytes
    output: str
    database: str
    settings: Mapping[str, str]
    parameters: Mapping[str, str]
    wait: bool
    read_only: bool
    accept_encoding: str
    session: SessionWish | None = None
    mark: str = ""


async def read_command(request: Request) -> Command:
    """Read the whole request. Raises EngineError for what cannot be understood."""
    fields = dict(request.query_params)
    content_type = request.headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        body = b""
        fields |= await _form_fields(request)
    else:
        body = inflate(await _body(request), request.headers.get("content-encoding", ""))
    statement, data = _statement(fields.get("query", "").encode(), body)
    headers = request.headers
    compressed = fields.get("enable_http_compression") == "1"
    cancelled = fields.get("cancel_http_readonly_queries_on_client_close") == "1" and MARK not in fields
    return Command(
        statement=statement,
        data=data,
        output=fields.get("default_format") or headers.get("x-clickhouse-format", "TabSeparated"),
        database=fields.get("database") or headers.get("x-clickhouse-database", ""),
        settings={k: v for k, v in fields.items() if k not in _TRANSPORT and not k.startswith("param_")},
        parameters={k.removeprefix("param_"): v for k, v in fields.items() if k.startswith("param_")},
        wait=fields.get("wait_end_of_query") == "1",
        read_only=request.method != "POST",
        accept_encoding=headers.get("accept-encoding", "") if compressed else "",
        session=_session(fields),
        mark=f"runbus-{uuid.uuid4()}" if cancelled else "",
    )


def _session(fields: Mapping[str, str]) -> SessionWish | None:
    if not fields.get("session_id"):
        return None
    check, close = fields.get("session_check") == "1", fields.get("close_session") == "1"
    return SessionWish(fields["session_id"], fields.get("session_timeout", ""), must_exist=check, close=close)


def _statement(query: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Join URL and body: an INSERT's body is data and stays separate, any other body continues the statement."""
    if not query.strip():
        return body, b""
    if not body or first_word(query) == b"INSERT":
        return query, body
    return query + b"\n" + body, b""


async def _body(request: Request) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > MAX_BODY:
            limit = f"The request body is larger than {MAX_BODY >> 20} MiB."
            raise engine_error(QUERY_IS_TOO_LARGE, "QUERY_IS_TOO_LARGE", limit)
        pieces.append(piece)
    return b"".join(pieces)


async def _form_fields(request: Request) -> dict[str, str]:
    fields: dict[str, str] = {}
    async with request.form(max_part_size=_MAX_FORM_FIELD) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                text = "External tables in a request are not supported by the local engine."
                raise engine_error(NOT_IMPLEMENTED, "NOT_IMPLEMENTED", text)
            if name in fields:
                raise engine_error(BAD_ARGUMENTS, "BAD_ARGUMENTS", f"Form field {name} is given twice.")
            fields[name] = value
    return fields

"""Makes HTTP answers: complete results, streams that end early if the client leaves, errors as a server words them."""

import json
import uuid
from collections.abc import AsyncGenerator

from anyio import CancelScope, CapacityLimiter, to_thread
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from runbus.local.clickhouse_http.compression import Encoder, encoder
from runbus.local.clickhouse_http.engine import Result, ResultStream
from runbus.local.clickhouse_http.errors import EngineError

_MEDIA_TYPE = "application/octet-stream"
_COMPRESS_FROM = 1024  # bytes: less is not worth the header


def error_response(error: EngineError, headers: dict[str, str]) -> Response:
    """Answer with the engine's text, its code in a header, and the status a server would choose."""
    headers = {**headers, "X-ClickHouse-Exception-Code": str(error.code)}
    return PlainTextResponse(error.text + "\n", error.status, headers)


def result_response(result: Result, accept_encoding: str, headers: dict[str, str]) -> Response:
    """Answer with a complete result and its summary."""
    headers = {**headers, "X-ClickHouse-Summary": json.dumps(result.summary)}
    body = result.body
    coding = encoder(accept_encoding) if len(body) >= _COMPRESS_FROM else None
    if coding:
        headers["Content-Encoding"] = coding[0]
        body = coding[1].compress(body) + coding[1].flush()
    return Response(body, headers=headers, media_type=_MEDIA_TYPE)


def stream_response(
    stream: ResultStream, first: bytes | None, accept_encoding: str, headers: dict[str, str], limiter: CapacityLimiter
) -> Response:
    """Answer with the pieces of a stream; `first` was fetched already, so that an early error has its status."""
    tag = uuid.uuid4().hex[:16]
    headers = {**headers, "X-ClickHouse-Exception-Tag": tag}
    coding = encoder(accept_encoding)
    if coding:
        headers["Content-Encoding"] = coding[0]
    pieces = _encoded(_pieces(stream, first, tag, limiter), coding[1] if coding else None)
    return _ClosingResponse(stream, pieces, headers)


class _ClosingResponse(StreamingResponse):
    def __init__(self, stream: ResultStream, pieces: AsyncGenerator[bytes], headers: dict[str, str]) -> None:
        super().__init__(pieces, headers=headers, media_type=_MEDIA_TYPE)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Now, whatever happened: the query of a client that left must stop, and not in the garbage collector.
            with CancelScope(shield=True):
                await to_thread.run_sync(self._stream.close)


async def _pieces(
    stream: ResultStream, piece: bytes | None, tag: str, limiter: CapacityLimiter
) -> AsyncGenerator[bytes]:
    late = b""
    try:
        while piece is not None:
            yield piece
            piece = await to_thread.run_sync(stream.next, limiter=limiter)
    except EngineError as error:
        late = _late_exception(error, tag)
    # Before the client sees the end: it may use the same session at once.
    await to_thread.run_sync(stream.close)
    if late:
        yield late


async def _encoded(pieces: AsyncGenerator[bytes], coding: Encoder | None) -> AsyncGenerator[bytes]:
    async for piece in pieces:
        if coding is None:
            yield piece
        elif packed := coding.compress(piece):
            yield packed
    if coding is not None:
        yield coding.flush()


def _late_exception(error: EngineError, tag: str) -> bytes:
    """Render an error after the headers are gone (ClickHouse 25.11+: the tag tells it from data)."""
    text = error.text + "\n"
    size = len(text.encode())
    return f"\r\n__exception__\r\n{tag}\r\n{text}{size} {tag}\r\n__exception__\r\n".encode()

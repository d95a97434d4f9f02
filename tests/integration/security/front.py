"""A door of TLS in front of a plain HTTP server: what stands before ClickHouse and a registry in production."""

import asyncio
import base64
import contextlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from runbus.local.ports import LOOPBACK
from tests.integration.security.authority import Authority

_REFUSED = (
    b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{}"
)


class Front:
    """Passes bytes on, one connection at a time its own.

    Args:
        target: port of the server behind it.
        context: of TLS.
        login: `user:password` that every first request of a connection must carry; empty = anybody.
    """

    def __init__(self, target: int, context: ssl.SSLContext, login: str = "") -> None:
        self._target = target
        self._context = context
        self._header = b"authorization: basic " + base64.b64encode(login.encode()).lower() if login else b""
        self.port = 0

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        """Serve until stopped."""
        server = await asyncio.start_server(self._connected, LOOPBACK, 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await stop.wait()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            if self._header not in head.lower():
                writer.write(_REFUSED)
                await writer.drain()
            else:
                behind_reader, behind_writer = await asyncio.open_connection(LOOPBACK, self._target)
                behind_writer.write(head)
                await asyncio.gather(_pass(reader, behind_writer), _pass(behind_reader, writer))
        writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextmanager
def fronted(target: int, authority: Authority, *, login: str = "", certificates: bool = False) -> Iterator[str]:
    """Yield the https address of a door to a port; with `certificates` only who has one of the authority comes in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("front"))
    if certificates:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.ca)
    front, ready = Front(target, context, login), threading.Event()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(front.serve(ready, stop)), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield f"https://{LOOPBACK}:{front.port}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()

"""Serves an application with uvicorn on the host's own event loop: the host has the signals, the log and the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from runbus.config.catalogue import DASHBOARD_ADDRESS
from runbus.config.errors import RunBusError
from runbus.dashboard.security.door import Door

log = logging.getLogger(__name__)
# What a client that does not read leaves in the kernel: past it the hub sends it one newer, larger frame instead.
_SEND_BUFFER = 65_536
# A connection that takes nothing for so long is gone; nothing else frees what waits for it. The page opens another.
_TAKES_NOTHING_MS = 10_000
_BACKLOG = 1024
# Open answers have ended by then (the streams within 0.5 s); what has not is cut off. Of 3 s in all.
_END_S = 1.5
# And what still works for one that was cut off is cancelled then, seconds.
_CANCEL_S = 1
# A connection that has not asked anything whole by then is closed: open ones are counted.
_ASKS_S = 10.0
# Headers and the target of a request; ids may be 10 kB, and one in UTF-8 is three times as long in an address.
_MOST_HEAD = 65_536
_FULL_BODY = (
    b'{"error":"this page has as many readers as it takes","todo":"close some, or raise RUNBUS_DASHBOARD_CLIENTS",'
    b'"near":[]}'
)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(_FULL_BODY), _FULL_BODY)
)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 = a free one. Raises RunBusError if that is not possible."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        server = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot(host, port, error) from error
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)  # accepted ones inherit both
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _TAKES_NOTHING_MS)
        server.bind(address)
        server.listen(_BACKLOG)
        server.setblocking(False)
    except OSError as error:
        server.close()
        raise _cannot(host, port, error) from error
    return server


def _cannot(host: str, port: int, error: OSError) -> RunBusError:
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return RunBusError(
        f"cannot listen at {shown}: {error.strerror or error}; end what is there, or choose another port with "
        f"{DASHBOARD_ADDRESS.env}"
    )


async def serve(app: ASGIApp, listener: socket.socket, stop: asyncio.Event, door: Door) -> None:
    """Serve until `stop` is set; then open answers have a moment to end by themselves."""
    server = Server(app, door)
    serving, stopped = asyncio.create_task(server.serve(sockets=[listener])), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        server.should_exit = True
        await serving


class Server(uvicorn.Server):
    """uvicorn without what the host does.

    Args:
        app: what answers.
        door: who may come in.
    """

    def __init__(self, app: ASGIApp, door: Door) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_protocol(door),
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="error",  # what a stranger sends wrongly is no news
                access_log=False,
                proxy_headers=False,  # an address that a client may choose itself bounds nobody
                server_header=False,
                timeout_graceful_shutdown=_CANCEL_S,
                h11_max_incomplete_event_size=_MOST_HEAD,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the host."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port, wait for open answers to end, and cut off those that have not."""
        for listening in self.servers:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                while self.server_state.connections:  # noqa: ASYNC110 - uvicorn says it no other way
                    await asyncio.sleep(0.02)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)


def _protocol(door: Door) -> type[H11Protocol]:
    class Connection(H11Protocol):
        """A connection that is let in, or told that the house is full; it has to ask something soon."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._came_from = self.client[0] if self.client else ""
            self._let_in = door.enter(self._came_from)
            if not self._let_in:
                transport.write(_FULL)
                transport.close()
                return
            self._asks_by = self.loop.call_later(_ASKS_S, self._must_have_asked)

        def data_received(self, data: bytes) -> None:
            if self._let_in:
                super().data_received(data)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._let_in:
                self._asks_by.cancel()
                door.leave(self._came_from)
            super().connection_lost(exc)

        def _must_have_asked(self) -> None:
            if vars(self).get("cycle") is None:
                self.transport.close()

    return Connection

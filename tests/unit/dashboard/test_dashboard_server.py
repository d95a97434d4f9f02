"""The server on the host's loop: its end with open streams; clients that do not read, do not ask, or are too many."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator

import pytest
from starlette.types import Receive, Scope, Send

from runbus.config.errors import RunBusError
from runbus.dashboard import server
from runbus.dashboard.security.door import Door
from runbus.dashboard.server import listen, serve

LOCAL = "127.0.0.1"
GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Streams:
    """Answers `/stream` slowly until it is told to end, and `/flood` as fast as it is read; counts who is served."""

    def __init__(self) -> None:
        self.open = 0
        self.flooded_at = 0.0
        self.closing = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - of ASGI
        """See ASGI."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        self.open += 1
        try:
            while scope["path"] == "/flood" and not self.closing.is_set():
                await asyncio.sleep(0)
                await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
                self.flooded_at = asyncio.get_running_loop().time()
            while scope["path"] != "/" and not self.closing.is_set():
                await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await self.closing.wait()
        finally:
            self.open -= 1
        await send({"type": "http.response.body", "body": b"done"})


class Running:
    """A server of a test."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self.app = Streams()
        self.door = Door(most, most_of_one)
        self.listener = listen(LOCAL, 0)
        self.port = int(self.listener.getsockname()[1])
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(serve(self.app, self.listener, self.stop, self.door))

    async def ask(self, path: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection and ask for a path."""
        reader, writer = await asyncio.open_connection(LOCAL, self.port)
        writer.write(GET % path)
        await writer.drain()
        return reader, writer


@contextlib.asynccontextmanager
async def running(most: int = 100, most_of_one: int = 100) -> AsyncIterator[Running]:
    """Run one; at the end it has to end."""
    found = Running(most, most_of_one)
    try:
        yield found
    finally:
        found.app.closing.set()
        found.stop.set()
        async with asyncio.timeout(30):
            await found.task


async def until(condition: object) -> None:
    """Wait until a function says yes."""
    assert callable(condition)
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.005)


def test_a_port_that_is_taken_is_one_sentence() -> None:
    """It names the address, and the variable that chooses another."""
    with listen(LOCAL, 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RunBusError, match=rf"cannot listen at 127.0.0.1:{port}: .* RUNBUS_DASHBOARD_ADDRESS"):
            listen(LOCAL, port)
    with pytest.raises(RunBusError, match=r"cannot listen at nobody\.invalid:1: "):
        listen("nobody.invalid", 1)


def test_what_one_client_holds_up_in_the_kernel_is_bounded() -> None:
    """Connections inherit it from the listening socket: a small buffer, and an end for who takes nothing."""
    with listen(LOCAL, 0) as listener, socket.create_connection(listener.getsockname()):
        listener.setblocking(True)
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 4 * 65_536  # Linux counts double
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000


def test_it_ends_with_open_streams_and_says_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Streams end by themselves; a client that does not read is cut off, and leaves no trace in the log."""
    monkeypatch.setattr(server, "_END_S", 0.5)

    async def story() -> None:
        async with running() as site:
            loop = asyncio.get_running_loop()
            stopped = await site.ask(b"/flood")
            stopped[1].transport.pause_reading()  # type: ignore[attr-defined]
            await until(lambda: site.app.flooded_at and loop.time() - site.app.flooded_at > 0.3)
            readers = [await site.ask(b"/stream") for _ in range(20)]
            await until(lambda: site.app.open == 21)
            drains = [asyncio.create_task(reader.read()) for reader, _ in readers]
            site.app.closing.set()
            site.stop.set()
            async with asyncio.timeout(30):
                await site.task
            assert all(b"done" in body for body in await asyncio.gather(*drains))
            assert site.door.inside == 0
            await until(lambda: site.app.open == 0)
            for _, writer in (*readers, stopped):
                writer.transport.abort()

    with caplog.at_level(logging.WARNING):
        asyncio.run(story())
    assert not caplog.records


def test_too_many_are_told_and_the_next_comes_in_when_one_leaves() -> None:
    """In JSON, as the API says it."""

    async def story() -> None:
        async with running(most=2) as site:
            first, second = await site.ask(b"/stream"), await site.ask(b"/stream")
            await until(lambda: site.door.inside == 2)
            reader, writer = await site.ask(b"/stream")
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert "RUNBUS_DASHBOARD_CLIENTS" in json.loads(body)["todo"]
            writer.close()
            first[1].transport.abort()
            await until(lambda: site.door.inside == 1)
            reader, writer = await site.ask(b"/")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            for open_ in (writer, second[1]):
                open_.transport.abort()

    asyncio.run(story())


def test_who_asks_nothing_or_too_much_is_closed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A request that never becomes whole, and a head without an end; strangers fill no log."""
    monkeypatch.setattr(server, "_ASKS_S", 0.2)

    async def story() -> None:
        async with running() as site:
            silent_reader, silent = await asyncio.open_connection(LOCAL, site.port)
            silent.write(b"GET / HTTP/1.1\r\nX: ")
            assert await silent_reader.read() == b""
            silent.close()
            reader, writer = await asyncio.open_connection(LOCAL, site.port)
            writer.write(b"GET /" + b"x" * 100_000)
            assert (await reader.read()).startswith(b"HTTP/1.1 400")
            writer.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(story())
    assert not caplog.records

"""A proxy between a sink and a real ClickHouse that misbehaves on demand: real HTTP on both sides."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, web

from tests.integration.served import Served

_HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})
TOKEN = "insert_deduplication_token"
CODE_HEADER = "X-ClickHouse-Exception-Code"


@dataclass
class Exchange:
    """One request of the sink on its way; a fault decides what becomes of it.

    Attributes:
        healed: set once the fault is over.
    """

    proxy: Proxy
    request: web.BaseRequest
    healed: asyncio.Event
    _body: bytes | None = None

    async def body(self) -> bytes:
        """Return all of the request's body; `request.read` has a limit."""
        if self._body is None:
            self._body = await self.request.content.read()
        return self._body

    async def forward(self) -> web.Response:
        """Let the engine carry the request out; return its answer."""
        return await self.proxy.forward(self.request, await self.body())

    def cut(self) -> web.Response:
        """Reset the connection; nothing is answered."""
        if self.request.transport is not None:
            self.request.transport.abort()
        return web.Response()

    def say(self, raw: bytes) -> web.Response:
        """Answer with these bytes and hang up."""
        if self.request.transport is not None:
            self.request.transport.write(raw)
            self.request.transport.close()
        return web.Response()


Fault = Callable[[Exchange], Awaitable[web.Response]]


async def passes(exchange: Exchange) -> web.Response:
    """No fault."""
    return await exchange.forward()


async def hangs(exchange: Exchange) -> web.Response:
    """Take the request and never answer it, nor do it."""
    await exchange.body()
    await asyncio.Event().wait()
    return exchange.cut()


async def cuts_before(exchange: Exchange) -> web.Response:
    """The connection breaks before the engine has the request."""
    await exchange.body()
    return exchange.cut()


async def cuts_after(exchange: Exchange) -> web.Response:
    """The engine carries it out; the acknowledgement is lost."""
    await exchange.forward()
    return exchange.cut()


async def fails_in_the_body(exchange: Exchange) -> web.Response:
    """Status 500 after the first bytes of the body, and the connection is closed while the rest is on its way."""
    await exchange.request.content.readany()
    return exchange.say(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


async def ends_in_the_head(exchange: Exchange) -> web.Response:
    """A ClickHouse that is at work sends progress in its head, behind status 200, and the connection ends there."""
    await exchange.body()
    return exchange.say(
        b'HTTP/1.1 200 OK\r\nX-ClickHouse-Query-Id: q\r\nX-ClickHouse-Progress: {"read_rows":"1"}\r\n',
    )


async def arrives_late(exchange: Exchange) -> web.Response:
    """It is held back and reaches the engine when the sink has given up on it, and asked again."""
    await exchange.body()
    await exchange.healed.wait()
    return await exchange.forward()


async def arrives_twice(exchange: Exchange) -> web.Response:
    """The engine gets it, the sink hears so much later, and then the engine gets it once more."""
    answer = await exchange.forward()
    await asyncio.sleep(0.5)
    await exchange.forward()
    return answer


def slow(seconds: float) -> Fault:
    """Return a fault: carried out at once, acknowledged after a while."""

    async def fault(exchange: Exchange) -> web.Response:
        answer = await exchange.forward()
        await asyncio.sleep(seconds)
        return answer

    return fault


def says(status: int, text: str = "", code: int | None = None) -> Fault:
    """Return a fault: an answer of the proxy itself; with `code` it looks like one of ClickHouse."""
    headers = {} if code is None else {CODE_HEADER: str(code)}

    async def fault(exchange: Exchange) -> web.Response:
        await exchange.body()
        return web.Response(status=status, text=text, headers=headers)

    return fault


def refuses(status: int, code: int, name: str) -> Fault:
    """Return a fault: the answer of a ClickHouse server that refuses for this reason."""
    return says(status, f"Code: {code}. DB::Exception: said by the proxy. ({name}) (version 26.9.2.1)\n", code)


def by_partition(*faults: Fault) -> Fault:
    """Return a fault: the n-th for partition n, none for further ones."""

    async def fault(exchange: Exchange) -> web.Response:
        partition = int(exchange.request.query[TOKEN].split(":")[1])
        return await (faults[partition] if partition < len(faults) else passes)(exchange)

    return fault


def redirects(location: str) -> Fault:
    """Return a fault: the request is sent elsewhere, as a login wall does it."""

    async def fault(exchange: Exchange) -> web.Response:
        await exchange.body()
        return web.Response(status=303, headers={"Location": location})

    return fault


@dataclass
class Proxy(Served):
    """Listens on a port of its own.

    Attributes:
        target: URL of the real engine.
        inserts: what becomes of inserts under a token; may be changed at any time.
        reads: what becomes of everything else.
        hits: requests that a fault decided about.
        bodies: token -> the bodies that reached the engine under it.
    """

    target: str
    inserts: Fault = passes
    reads: Fault = passes
    hits: int = 0
    bodies: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    port: int = 0

    @property
    def url(self) -> str:
        """Where the sink finds it."""
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def misbehaving(self, inserts: Fault = passes, reads: Fault = passes) -> Iterator[None]:
        """Do so for the length of the block; what was held back then goes on."""
        self.hits = 0
        self.inserts, self.reads = inserts, reads
        try:
            yield
        finally:
            self.inserts = self.reads = passes
            self._call(self._heal())

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Refuse connections, and end those that are open, for the length of the block."""
        self._call(self._stop_listening())
        try:
            yield
        finally:
            self._call(self._listen())

    async def forward(self, request: web.BaseRequest, body: bytes) -> web.Response:
        """Send a request to the engine; return its answer."""
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        url = self.target + request.rel_url.raw_path_qs
        token = request.query.get(TOKEN)
        if token is not None:
            self.bodies[token].add(sha256(body).hexdigest())
        async with self._client.request(request.method, url, data=BytesIO(body), headers=headers) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    # --- on the loop ----------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        self._healed = asyncio.Event()
        self._client = ClientSession(
            timeout=ClientTimeout(total=None), auto_decompress=False, cookie_jar=DummyCookieJar()
        )
        self._server = web.Server(self._handle)
        await self._listen()

    async def _listen(self) -> None:
        self._listener = await self._loop.create_server(self._server, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _stop_listening(self) -> None:
        self._listener.close()
        for connection in list(self._server.connections):
            if connection.transport is not None:
                connection.transport.abort()

    async def _heal(self) -> None:
        self._healed.set()
        self._healed = asyncio.Event()

    async def _close(self) -> None:
        await self._stop_listening()
        await self._server.shutdown(1)
        await self._client.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        fault = self.inserts if TOKEN in request.query else self.reads
        self.hits += fault is not passes
        return await fault(Exchange(self, request, self._healed))

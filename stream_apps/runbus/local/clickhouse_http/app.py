"""Answers HTTP requests (ASGI): `/` runs statements, `/ping` tells that the engine is up."""

import asyncio
import uuid
from collections.abc import Mapping
from functools import partial

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from runbus.local.clickhouse_http.engine import ChdbEngine, ResultStream
from runbus.local.clickhouse_http.errors import EngineError
from runbus.local.clickhouse_http.execution import cancel, execute
from runbus.local.clickhouse_http.requests import Command, read_command
from runbus.local.clickhouse_http.responses import error_response, result_response, stream_response
from runbus.local.clickhouse_http.sessions import Sessions
from runbus.local.clickhouse_http.sql import first_word
from runbus.local.clickhouse_http.users import User, authenticate

# Two pools of threads: slow reads may fill theirs and inserts still go through.
_READ_THREADS = 32
_INSERT_THREADS = 8
_CANCEL_AGAIN_SECONDS = 0.1


class ClickHouseHttp:
    """Endpoints over one engine and a fixed set of users."""

    def __init__(self, engine: ChdbEngine, users: Mapping[str, User], timezone: str) -> None:
        """Take what the endpoints need; nothing is started here."""
        self._sessions = Sessions(engine)
        self._users = users
        self._timezone = timezone
        self._reads = CapacityLimiter(_READ_THREADS)
        self._inserts = CapacityLimiter(_INSERT_THREADS)

    async def root(self, request: Request) -> Response:
        """Run one statement; a bare `GET /` is answered for anybody, as a server does."""
        if request.method != "POST" and not request.url.query:
            return await self.ping(request)
        headers = {
            "X-ClickHouse-Query-Id": request.query_params.get("query_id") or str(uuid.uuid4()),
            "X-ClickHouse-Server-Display-Name": "runbus-local",
            "X-ClickHouse-Timezone": self._timezone,
        }
        try:
            user = authenticate(self._users, request.headers, request.query_params)
            command = await read_command(request)
            if not command.statement.strip():
                return PlainTextResponse("Ok.\n", headers=headers)
            return await self._run(request, command, user, headers)
        except EngineError as error:
            return error_response(error, headers)
        except ClientDisconnect:
            return Response(status_code=499)  # the client is gone

    async def _run(self, request: Request, command: Command, user: User, headers: dict[str, str]) -> Response:
        limiter = self._inserts if first_word(command.statement) == b"INSERT" else self._reads
        work = partial(execute, self._sessions, command, user)
        watching = asyncio.create_task(self._cancel_when_left(request, command)) if command.mark else None
        try:
            outcome, output = await to_thread.run_sync(work, limiter=limiter)
        finally:
            if watching is not None:
                watching.cancel()
        if output:
            headers["X-ClickHouse-Format"] = output
        if not isinstance(outcome, ResultStream):
            return result_response(outcome, command.accept_encoding, headers)
        try:
            first = await to_thread.run_sync(outcome.next, limiter=limiter)
        except BaseException:
            outcome.close()
            raise
        return stream_response(outcome, first, command.accept_encoding, headers, limiter)

    async def _cancel_when_left(self, request: Request, command: Command) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        while True:  # it may not have begun yet
            await to_thread.run_sync(cancel, self._sessions.engine, command.mark)
            await asyncio.sleep(_CANCEL_AGAIN_SECONDS)

    async def ping(self, _request: Request) -> Response:
        """Answer as a server does; the engine is up before the first request is taken."""
        return PlainTextResponse("Ok.\n")


def application(engine: ChdbEngine, users: Mapping[str, User]) -> Starlette:
    """Build the application over an open engine."""
    with engine.session({}, {}, "") as session:
        timezone = session.run("SELECT timezone()", "TabSeparated", {}).body.decode().strip()
    endpoints = ClickHouseHttp(engine, users, timezone)
    routes = [Route("/ping", endpoints.ping), Route("/", endpoints.root, methods=["GET", "POST"])]
    return Starlette(routes=routes)

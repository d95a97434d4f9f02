"""Who leaves takes the question along: it ends in ClickHouse, not only here."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response

from runbus.dashboard.errors import ApiError
from runbus.dashboard.history.answers import HistoryRoute
from runbus.dashboard.history.api import Question
from runbus.dashboard.history.clickhouse import ClickHouseHistory
from tests.integration.clickhouse.conftest import Store

pytestmark = pytest.mark.integration

_FOR_EVER = 3600


def endless() -> tuple[Question, str]:
    """Return a question that takes a day, and a word that stands in it alone."""
    word = f"w{uuid.uuid4().hex}"
    sql = f"SELECT count() FROM numbers(10000000000000) WHERE sipHash64(number) = 1 AND '{word}' != ''"
    return Question("endless", sql), word


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - the position is ClickHouse's
            await asyncio.sleep(0.05)


async def runs(store: Store, word: str) -> bool:
    """Return whether ClickHouse works on the question with this word; the one that asks so has it as a parameter."""
    like = "concat('SELECT count() FROM numbers%', {word:String}, '%')"
    sql = f"SELECT count() FROM system.processes WHERE query LIKE {like}"
    return await asyncio.to_thread(store.one, sql, word=word) != 0


def test_a_cancelled_question_ends_in_clickhouse(store: Store) -> None:
    """Its query is gone although it would have run for ever."""
    question, word = endless()

    async def ask() -> None:
        history = ClickHouseHistory(store.settings, seconds=_FOR_EVER)
        asking = asyncio.create_task(history.table(question, "me"))
        await until(partial(runs, store, word))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: _not(runs(store, word)))
        await history.close()

    asyncio.run(ask())


def test_a_client_that_leaves_ends_its_question(store: Store) -> None:
    """A browser that closes its connection: the question is gone from ClickHouse."""
    question, word = endless()
    history = ClickHouseHistory(store.settings, seconds=_FOR_EVER)
    routes = APIRouter(route_class=HistoryRoute)

    @routes.get("/")
    async def slow(_: Request) -> Response:
        await history.table(question, "me")
        return Response()

    async def ask() -> None:
        async with served(routes) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(partial(runs, store, word))
            writer.close()
            await until(lambda: _not(runs(store, word)))
            del reader
        await history.close()

    asyncio.run(ask())


def test_a_question_that_takes_too_long_is_refused(store: Store) -> None:
    """504, and what to do."""
    question, _ = endless()

    async def ask() -> None:
        history = ClickHouseHistory(store.settings, seconds=1)
        with pytest.raises(ApiError) as late:
            await history.table(question, "me")
        assert late.value.status == 504
        await history.close()

    asyncio.run(ask())


async def _not(answer: Awaitable[bool]) -> bool:
    return not await answer


@contextlib.asynccontextmanager
async def served(routes: APIRouter) -> AsyncIterator[int]:
    """Serve routes on a free port."""
    app = FastAPI()
    app.include_router(routes)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving
        listener.close()

"""A client that waits for an answer for ever is given up, and leaves nothing running."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runbus.kafka.model import TopicPartition
from runbus.kafka.next_step import NextStep
from runbus.kafka.settings import KafkaSettings
from runbus.streams import kafka
from runbus.streams.client_errors import CLIENT_ERRORS, next_step
from runbus.streams.kafka import Transactions, close_client, member, sender

NOBODY = KafkaSettings("127.0.0.1:1")


async def _wait(*_: Any) -> None:
    await asyncio.Event().wait()


def test_a_transaction_without_an_answer_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past any time that the broker lets it live: the caller makes a new client and reads what became of it."""
    monkeypatch.setattr(kafka, "_ANSWER_S", 0.05)

    async def story() -> None:
        transactions = Transactions(NOBODY, "group", TopicPartition("steps", 0))
        monkeypatch.setattr(transactions._producer, "begin_transaction", _wait)
        try:
            with pytest.raises(CLIENT_ERRORS) as found:
                await transactions.commit([], 5)
            assert next_step(found.value) is NextStep.AGAIN
        finally:
            await transactions.close()

    asyncio.run(story())


@pytest.mark.parametrize("make", [lambda: sender(NOBODY), lambda: member(NOBODY, "group", "", 3.0)])
def test_a_client_that_does_not_stop_is_dropped(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its broker is away: what it would still flush is not waited for."""
    monkeypatch.setattr(kafka, "_CLOSE_S", 0.05)

    async def story() -> None:
        client = make()
        monkeypatch.setattr(client, "stop", _wait)
        await close_client(client)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        client._closed = True  # `stop` of the library says so first of all

    asyncio.run(story())


async def _await_a_cancelled_task() -> None:
    """Await what aiokafka's fetcher awaits if it is closed just after it made a request: a task that never began."""
    request = asyncio.ensure_future(_wait())
    request.cancel()
    await request


def test_a_client_that_cancels_its_own_end_does_not_cancel_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's task goes on (a partition was owned and never opened), the connections are closed all the same."""

    async def story() -> None:
        client, closed = member(NOBODY, "group", "", 3.0), asyncio.Event()

        async def close() -> None:
            closed.set()

        monkeypatch.setattr(client, "stop", _await_a_cancelled_task)
        monkeypatch.setattr(client._client, "close", close)
        await close_client(client)
        assert closed.is_set()
        client._closed = True

    asyncio.run(story())


@pytest.mark.parametrize("end", [_wait, _await_a_cancelled_task])
def test_a_cancelled_user_leaves_no_client_behind(end: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancellation that was asked for is one; the connections are closed all the same."""

    async def story() -> None:
        client, closed = sender(NOBODY), asyncio.Event()

        async def close() -> None:
            closed.set()

        monkeypatch.setattr(client, "stop", end)
        monkeypatch.setattr(client.client, "close", close)
        closing = asyncio.ensure_future(close_client(client))
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        assert closing.cancelled()
        assert closed.is_set()
        client._closed = True

    asyncio.run(story())

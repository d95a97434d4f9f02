"""Asking ClickHouse when it is away, and what its refusals become."""

from __future__ import annotations

import asyncio

import pytest

from runbus.clickhouse.errors import Ambiguous, Capacity, Configuration, StoreError, Unknown
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.secret import Secret
from runbus.dashboard.errors import ApiError
from runbus.dashboard.history.api import Question
from runbus.dashboard.history.clickhouse import ClickHouseHistory, refusal
from runbus.local.ports import free_port


def test_no_clickhouse_is_said_and_tried_again() -> None:
    """503 with the address and what to do; nothing is connected before the first question, and each one tries."""
    url = f"http://127.0.0.1:{free_port()}"
    history = ClickHouseHistory(ClickHouseSettings(url, "u", Secret("p"), "d"))

    async def ask() -> None:
        for _ in range(2):
            with pytest.raises(ApiError, match="connection refused") as caught:
                await history.table(Question("one", "SELECT 1"), "me")
            assert caught.value.status == 503
            assert caught.value.error.startswith(f"History is not there: ClickHouse at {url} did not answer")
            assert "runbus up" in caught.value.todo
        await history.close()

    asyncio.run(ask())
    assert history.running == 0
    assert history.ended["failed"] == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Ambiguous("Timeout exceeded", 159), 504),
        (Capacity("Memory limit exceeded", 241), 413),
        (Unknown("Limit for result exceeded", 396), 413),
        (Unknown("cannot compile regexp", 427), 400),
        (Unknown("Value cannot be parsed as Int32 for query parameter", 457), 400),
        (Configuration("Authentication failed", 516), 503),
        (Capacity("Too many simultaneous queries", 202), 503),
        (Ambiguous("ClickHouse did not answer: no answer in time"), 503),
    ],
)
def test_a_refusal_has_the_status_of_its_cause(error: StoreError, status: int) -> None:
    """The asker's fault, too much, too slow, or nobody there."""
    assert refusal(error).status == status

"""Blocking calls beside the loop."""

import asyncio
import threading
from functools import partial

import pytest

from runbus.kafka.threads import OneThread, in_thread


def test_a_call_returns_or_raises_what_it_did() -> None:
    """Result and exception come back to the awaiting task."""

    async def scenario() -> None:
        assert await in_thread(lambda: 5, "t") == 5
        with pytest.raises(ZeroDivisionError):
            await in_thread(lambda: 1 // 0, "t")
        async with asyncio.timeout(10):
            with pytest.raises(RuntimeError, match="StopIteration"):  # as what it is, no future takes it
                await in_thread(lambda: next(iter([])), "t")

    asyncio.run(scenario())


def test_a_call_that_hangs_does_not_hold_up_the_end() -> None:
    """The loop ends although a call never returns."""
    never = threading.Event()

    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(in_thread(never.wait, "t"), 0.01)

    asyncio.run(scenario())
    never.set()


def test_one_thread_makes_its_calls_in_order() -> None:
    """All calls run on the same thread, first come first served."""

    async def scenario() -> None:
        one, seen = OneThread("t"), list[int]()

        def call(number: int) -> int:
            seen.append(number)
            return threading.get_ident()

        calls = [one.call(partial(call, number)) for number in range(20)]
        assert len(set(await asyncio.gather(*calls))) == 1
        assert seen == list(range(20))
        one.end()
        with pytest.raises(RuntimeError):
            await one.call(lambda: None)

    asyncio.run(scenario())


def test_a_call_that_waits_for_the_loop_lets_other_calls_through() -> None:
    """A rebalance callback waits for a coroutine that itself needs the thread: no dead-lock."""

    async def scenario() -> None:
        one = OneThread("t")

        async def inside() -> int:
            return await one.call(lambda: 7) + 1

        assert await asyncio.wait_for(one.call(lambda: one.wait(inside())), 5) == 8
        one.end()

    asyncio.run(scenario())

"""A bell: it stays rung until it was heard, for threads and coroutines."""

from __future__ import annotations

import asyncio
import threading

import pytest

from runbus.reader.bell import Bell


def test_it_stays_rung_until_it_was_heard() -> None:
    """Twice rung is rung; once heard it is silent."""
    bell = Bell()
    assert not bell.wait(0)
    bell.ring()
    bell.ring()
    assert bell.wait(0)
    assert not bell.wait(0)


def test_another_thread_ends_a_wait() -> None:
    """At once."""
    bell = Bell()
    threading.Timer(0.01, bell.ring).start()
    assert bell.wait(20)


def test_a_coroutine_waits_while_the_loop_turns() -> None:
    """Rung before or meanwhile, from any thread; a cancelled wait leaves the bell usable."""

    async def scene() -> None:
        bell = Bell()
        bell.ring()
        await bell.wait_async()
        waiting = asyncio.create_task(bell.wait_async())
        await asyncio.sleep(0)
        threading.Thread(target=bell.ring).start()
        await waiting
        cancelled = asyncio.create_task(bell.wait_async())
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        bell.ring()
        await bell.wait_async()
        assert not bell.wait(0)

    asyncio.run(asyncio.wait_for(scene(), 20))


def test_a_loop_that_has_ended_is_no_error() -> None:
    """Who rings does not know who listened."""
    bell = Bell()
    loop = asyncio.new_event_loop()
    task = loop.create_task(bell.wait_async())
    loop.run_until_complete(asyncio.sleep(0))
    awaited = bell._awaited
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    bell._awaited = awaited
    bell.ring()
    bell.ring()
    assert bell.wait(0)

"""Tasks beside the loop: the first error ends the work, and nothing outlives a cancellation."""

from __future__ import annotations

import asyncio

import pytest

from runbus.service.background import BackgroundTasks


async def _fail(text: str) -> None:
    raise ValueError(text)


def test_the_first_error_of_a_task_is_raised_in_the_loop() -> None:
    """A later error does not replace it, and a task that ends well changes nothing."""

    async def story() -> None:
        tasks = BackgroundTasks()
        await tasks.start(asyncio.sleep(0))
        tasks.raise_error()
        for text in ("first", "second"):
            await asyncio.gather(tasks.start(_fail(text)), return_exceptions=True)
        with pytest.raises(ValueError, match="first"):
            tasks.raise_error()

    asyncio.run(story())


def test_a_cancellation_ends_every_task_and_is_no_error() -> None:
    """It returns once all of them have ended."""

    async def story() -> None:
        tasks = BackgroundTasks()
        started = [tasks.start(asyncio.Event().wait()) for _ in range(3)]  # type: ignore[arg-type]
        await asyncio.sleep(0)
        await tasks.cancel()
        assert all(task.cancelled() for task in started)
        assert tasks.error is None

    asyncio.run(story())


def test_a_task_that_nobody_cancelled_has_failed() -> None:
    """A library below it awaited a task that it had cancelled itself: the work is not done, and somebody must hear."""

    async def story() -> None:
        async def library() -> None:
            inner = asyncio.ensure_future(asyncio.Event().wait())
            inner.cancel()
            await inner

        tasks = BackgroundTasks()
        await asyncio.gather(tasks.start(library()), return_exceptions=True)
        with pytest.raises(RuntimeError, match=r"ended before its work was done: .*library"):
            tasks.raise_error()

    asyncio.run(story())


def test_a_task_that_fails_ends_the_main_work_wherever_it_waits() -> None:
    """The work is cancelled and waited for, and the task's error is raised; without one its own outcome counts."""

    async def story() -> None:
        tasks, cleaned = BackgroundTasks(), []

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                cleaned.append(True)

        tasks.start(_fail("beside"))
        with pytest.raises(ValueError, match="beside"):
            await tasks.run(work())
        assert cleaned == [True]
        await BackgroundTasks().run(asyncio.sleep(0))
        with pytest.raises(ValueError, match="its own"):
            await BackgroundTasks().run(_fail("its own"))

    asyncio.run(story())


def test_the_main_work_ends_with_its_caller() -> None:
    """A cancelled caller leaves nothing running."""

    async def story() -> None:
        work = asyncio.ensure_future(asyncio.Event().wait())
        caller = asyncio.ensure_future(BackgroundTasks().run(work))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        assert work.cancelled()
        assert caller.cancelled()

    asyncio.run(story())

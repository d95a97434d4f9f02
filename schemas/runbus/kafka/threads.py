"""Makes blocking calls beside the event loop, in threads that never hold up the end of the process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


def _settle(done: asyncio.Future[T], result: T | None, error: BaseException | None) -> None:
    if done.cancelled():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)  # type: ignore[arg-type]  # without an error it is a T


def _carry(loop: asyncio.AbstractEventLoop, done: asyncio.Future[T], call: Callable[[], T]) -> None:
    """Make the call here, hand its outcome to the loop."""
    result: T | None = None
    failure: BaseException | None = None
    try:
        result = call()
    except StopIteration as error:  # a future refuses it, and its caller would wait for ever
        failure = RuntimeError(f"the call raised {error!r}")
    except BaseException as error:  # noqa: BLE001 - carried over to the caller
        failure = error
    try:
        loop.call_soon_threadsafe(_settle, done, result, failure)
    except RuntimeError:  # the loop is gone: the process ends, nothing waits for this
        return


async def in_thread(call: Callable[[], T], name: str) -> T:
    """Return the result of a blocking call, made in a daemon thread of its own.

    A cancelled caller does not stop the call. The threads of concurrent.futures are joined at exit, so one insert that
    hangs would keep a stopped process alive; starting a thread costs 0.1 ms, and there are some tens a second.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    threading.Thread(target=_carry, args=(loop, done, call), name=name, daemon=True).start()
    return await done


class OneThread:
    """Makes blocking calls one after the other, in a daemon thread.

    For clients whose calls exclude each other: confluent-kafka 2.16 lets a commit wait until a `consume` of another
    thread returns, and lets it wait for ever if that `consume` is inside a rebalance callback. On one thread there
    is nothing to wait for, and `wait` keeps the thread useful inside a callback.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._ended = False
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def call(self, call: Callable[[], T]) -> T:
        """Return the result of a call, made after those asked for before. Raises RuntimeError after `end`."""
        if self._ended:
            raise RuntimeError("the thread has ended")
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(lambda: _carry(self._loop, done, call))
        return await done

    def post(self, call: Callable[[], object]) -> None:
        """Make a call some time, without an outcome."""
        done: asyncio.Future[object] = self._loop.create_future()
        self._jobs.put(lambda: _carry(self._loop, done, call))
        done.add_done_callback(lambda future: future.cancelled() or future.exception())

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """From inside a call: run `work` on the loop and return its result, making other calls meanwhile."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        future.add_done_callback(lambda _: self._jobs.put(None))
        while not future.done():
            self._next()
        return future.result()

    def end(self) -> None:
        """End the thread after the calls asked for so far."""
        self._ended = True
        self._jobs.put(None)

    def _run(self) -> None:
        while not (self._ended and self._jobs.empty()):
            self._next()

    def _next(self) -> None:
        job = self._jobs.get()
        if job is not None:
            job()

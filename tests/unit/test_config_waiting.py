"""What is not there yet is asked for again, said now and then, and given up after a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from runbus.config.waiting import AGAIN_S, SAY_S, Patience, ask_until_answered

T = TypeVar("T")


class Instant(asyncio.SelectorEventLoop):
    """A loop whose time passes when it would sleep."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        select = self._selector.select  # type: ignore[attr-defined]

        def pass_time(timeout: float | None) -> Any:
            self._now += timeout or 0.0
            return select(0)

        self._selector.select = pass_time  # type: ignore[attr-defined]

    def time(self) -> float:
        """Return the time that has passed."""
        return self._now


def run(work: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """Return the result, and how many seconds it would have taken."""
    loop = Instant()
    try:
        return loop.run_until_complete(work), loop.time()
    finally:
        loop.close()


class Question:
    """Fails some times, then answers."""

    def __init__(self, failures: int) -> None:
        self._left = failures
        self.asked = 0

    async def __call__(self) -> str:
        """Answer."""
        self.asked += 1
        if self._left:
            self._left -= 1
            raise ConnectionError(f"{self.asked}")
        return "yes"


def test_it_asks_every_second_and_says_so_every_ten() -> None:
    """The first reason is said at once."""
    question, said = Question(21), list[str]()
    patience = Patience[ConnectionError]((ConnectionError,), lambda error: said.append(str(error)))
    answer, seconds = run(ask_until_answered(question, asyncio.Event(), patience))
    assert (answer, question.asked) == ("yes", 22)
    assert seconds == pytest.approx(21 * AGAIN_S)
    assert SAY_S == 10 * AGAIN_S
    assert said == ["1", "11", "21"]


def test_it_gives_up_with_the_last_reason() -> None:
    """After the time that was given the error is the caller's."""
    patience = Patience((ConnectionError,), lambda _: None, seconds=5.0)
    began = time.monotonic()
    with pytest.raises(ConnectionError, match="6"):
        run(ask_until_answered(Question(99), asyncio.Event(), patience))
    assert time.monotonic() - began < 5.0


def test_a_stop_ends_the_wait_between_two_questions() -> None:
    """Nothing is answered, and nothing is wrong."""
    question = Question(99)

    async def scenario() -> str | None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(2.5, stop.set)
        return await ask_until_answered(question, stop, Patience((ConnectionError,), lambda _: None))

    answer, seconds = run(scenario())
    assert answer is None
    assert seconds == pytest.approx(2.5)
    assert question.asked == 3


def test_any_other_error_is_raised_at_once() -> None:
    """Only what ends by itself is waited for."""

    async def question() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(ask_until_answered(question, asyncio.Event(), Patience((ConnectionError,), lambda _: None)))

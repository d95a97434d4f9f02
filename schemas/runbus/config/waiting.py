"""Waits at a start for something that is not there yet: asks again every second, and says so now and then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from runbus.config.deadline import Deadline

T = TypeVar("T")
E = TypeVar("E", bound=Exception)
# Short beside the start of what is waited for (some seconds), long beside one question.
AGAIN_S = 1.0
# The same reason is logged once in this time: every second it would hide everything else.
SAY_S = 10.0


@dataclass(frozen=True)  # no slots: a generic class cannot have them and be named with its type in 3.11
class Patience(Generic[E]):
    """The errors after which a question is asked again, and for how long.

    Attributes:
        errors: that may pass by themselves; every other one is raised.
        say: is told such an error, at once and then every 10 s.
        seconds: after which such an error is raised too; None = never.
    """

    errors: tuple[type[E], ...]
    say: Callable[[E], object]
    seconds: float | None = None


async def ask_until_answered(
    question: Callable[[], Awaitable[T]], stop: asyncio.Event, patience: Patience[E]
) -> T | None:
    """Return the first answer; None if `stop` was set before there was one. Raises what `patience` does not cover."""
    clock = asyncio.get_running_loop().time
    deadline = None if patience.seconds is None else Deadline.after(patience.seconds, clock())
    silence = Deadline(clock())
    while not stop.is_set():
        try:
            return await question()
        except patience.errors as error:
            if deadline is not None and deadline.passed(clock()):
                raise
            if silence.passed(clock()):
                silence = Deadline.after(SAY_S, clock())
                patience.say(error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S):
                    await stop.wait()
    return None

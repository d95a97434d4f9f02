"""Measures one call of a model or a tool, and records it when it is over, however it went."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from runbus.llm.values import used
from runbus.recorder.outcome import outcome_of
from runbus.recorder.row_words import Status

#: Names of exceptions that say that something took too long.
TIMEOUTS = ("Timeout", "TimeoutError", "TimeoutException", "APITimeoutError")


@dataclass(slots=True)
class Said:
    """What is recorded of a call.

    Attributes:
        answer: of a model; result: of a tool.
        status: how it went.
        numbers: by name: tokens, cost, duration.
        reward: for it.
        ends: whether the episode is over with it.
        stop: why, in words.
    """

    answer: Any = None
    status: Status = "ok"
    numbers: dict[str, float] = field(default_factory=dict)
    reward: float = 0.0
    ends: bool = False
    stop: str | None = None


class Call:
    """One call under way: `with episode.model(messages) as call: call.returns(client(...))`, or `async with`.

    An exception is recorded as the call's status and text, and goes on.
    """

    def __init__(self, record: Callable[[Said], int | None]) -> None:
        self._record = record
        self._began = time.perf_counter()
        self._said = Said()
        self._over = False
        #: seq of its step, once it is over and recorded: what another step gives as its parent.
        self.seq: int | None = None

    def returns(
        self,
        answer: Any,  # noqa: ANN401 - text, a message, JSON data, an object of a client
        *,
        usage: Any = None,  # noqa: ANN401 - a mapping, or an object of a client
        cost_usd: float | None = None,
        numbers: Mapping[str, float] | None = None,
        status: Status = "ok",
        reward: float = 0.0,
        ends: bool = False,
        stop: str | None = None,
    ) -> None:
        """Say what came back.

        Args:
            answer: of the model, or the result of the tool.
            usage: what the client says of tokens: `input_tokens`, `prompt_tokens` and the like.
            cost_usd: what it cost.
            numbers: others, by name.
            status: how it went: `length` of an answer that was cut, for example.
            reward: for this step.
            ends: the episode is over with it; `stop` says why.
        """
        said = self._said
        said.answer, said.status, said.reward, said.ends, said.stop = answer, status, reward, ends, stop
        said.numbers.update(used(usage) if usage is not None else {})
        if cost_usd is not None:
            said.numbers["llm.cost_usd"] = cost_usd
        said.numbers.update(numbers or {})

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._over:
            return
        self._over = True
        if error is not None:
            self._said.status = status_of(error)
            self._said.answer = f"{type(error).__name__}: {error}"
        self._said.numbers.setdefault("duration_ms", (time.perf_counter() - self._began) * 1000)
        self.seq = self._record(self._said)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)


def status_of(error: BaseException) -> Status:
    """Return how a call went that this exception ended."""
    if outcome_of(error)[0] == "interrupted":
        return "cancelled"
    return "timeout" if any(kind.__name__ in TIMEOUTS for kind in type(error).__mro__) else "error"

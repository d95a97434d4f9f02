"""Gives every episode of an agent a place of its own in one recorder, whoever runs it: a thread, a task, the loop."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from runbus.kafka.settings import KafkaSettings
from runbus.llm.episode import Episode
from runbus.llm.slots import SlotsOfProcess
from runbus.llm.values import by_name
from runbus.recorder.bus import RunBus
from runbus.recorder.recorder import Recorder

P = ParamSpec("P")
R = TypeVar("R")

_current: ContextVar[Episode | None] = ContextVar("runbus_episode", default=None)


def current() -> Episode | None:
    """Return the episode that this code runs in: the innermost one of this thread or task; None = there is none."""
    return _current.get()


class Agent:
    """Records the episodes of one agent of a language model.

    Episodes may run at the same time: each has an env index of the recorder, the lowest that is free. Like a recorder
    it never raises into the program and never waits for the broker. It is thread safe.

    Args:
        run: name of the run.
        agent: name of the agent in the run.
        config, labels, tags, bus, settings, kafka, parent, parent_seq: see Recorder.

    Raises:
        ConfigError: a name or a setting is unusable.
    """

    def __init__(  # noqa: PLR0913 - the recorder's options, by name
        self,
        run: str,
        agent: str = "agent-0",
        *,
        config: object = None,
        labels: Mapping[str, object] | None = None,
        tags: Iterable[str] | str | None = None,
        bus: RunBus | None = None,
        settings: KafkaSettings | None = None,
        kafka: bool = True,
        parent: Recorder | str | None = None,
        parent_seq: int | None = None,
    ) -> None:
        self.recorder = Recorder(
            run,
            agent,
            config=config,
            labels=labels,
            tags=tags,
            bus=bus,
            settings=settings,
            kafka=kafka,
            observations="all",
            parent=parent,
            parent_seq=parent_seq,
        )
        self._slots = SlotsOfProcess()

    def episode(
        self,
        prompt: Any = None,  # noqa: ANN401 - text, messages, JSON data
        *,
        labels: Mapping[str, object] | None = None,
        seed: int | None = None,
    ) -> Episode:
        """Return an episode; it begins here, and is the current one inside `with` (or `async with`), which ends it.

        Args:
            prompt: what the agent sees first: a text, a list of messages, JSON data.
            labels: of the episode: its task, group, sample and the like; pass@k and the page of groups go by them.
            seed: an integer of any size.
        """
        return Episode(self.recorder, self._slots.now(), _current, prompt, labels, seed)

    def recorded(self, **labels: object) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Return a decorator: each call of the function, also of a coroutine function, is an episode.

        What it was called with is the prompt: the argument if there is one, else the arguments by name. Inside,
        `current()` is the episode; an exception ends it as failed, and goes on.
        """

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            if inspect.iscoroutinefunction(function):

                @functools.wraps(function)
                async def run_task(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - as the function has it
                    with self.episode(_prompt(args, kwargs), labels=labels or None):
                        return await function(*args, **kwargs)

                return cast("Callable[P, R]", run_task)

            @functools.wraps(function)
            def run(*args: P.args, **kwargs: P.kwargs) -> R:
                with self.episode(_prompt(args, kwargs), labels=labels or None):
                    return function(*args, **kwargs)

            return run

        return decorate

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all that was recorded is delivered or dropped; return whether it was within `timeout` seconds."""
        return self.recorder.flush(timeout)

    def close(self) -> None:
        """End the stream; episodes that still run are abandoned."""
        self.recorder.close()

    def __enter__(self) -> Self:
        self.recorder.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.recorder.__exit__(kind, error, traceback)


def _prompt(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    if len(args) == 1 and not kwargs:
        return args[0]
    return by_name(args, kwargs) or None

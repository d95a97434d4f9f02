"""Records one episode of an agent of a language model: what it was asked, said, called and got."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar, Token, copy_context
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar, Unpack, cast

from runbus.llm.call import Call, Said, status_of
from runbus.llm.slots import Slots
from runbus.llm.values import History, by_name, plain
from runbus.recorder.absent import ABSENT
from runbus.recorder.recorder import Recorder
from runbus.recorder.row_words import Kind, Status, StepWords
from runbus.recorder.score import ScoreWords

log = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")


class Episode:
    """One episode; made by `Agent.episode`. Its methods do not raise into the program. It is thread safe.

    Attributes:
        env: its index in the recorder; of those that run at the same time each has its own.
        number: its number among the episodes of `env`; with it, what comes later finds it.
        seq: of its first row; None if that was not recorded.
        last: seq of the newest row: the parent of the next one that names no other.
    """

    def __init__(
        self,
        recorder: Recorder,
        slots: Slots,
        current: ContextVar[Episode | None],
        prompt: Any,  # noqa: ANN401
        labels: Mapping[str, object] | None,
        seed: int | None,
    ) -> None:
        self._recorder = recorder
        self._slots = slots
        self._current = current
        self._token: Token[Episode | None] | None = None
        self._over = False
        self._history = History(prompt)
        self.env = slots.take()
        with slots.row:
            self.seq = recorder.reset(_shown(prompt), seed=seed, env=self.env, labels=labels)
            self.number = slots.begun(self.env) if self.seq is not None else -1
        self.last = self.seq

    # --- steps ----------------------------------------------------------------------------------------------------

    def model(self, messages: Sequence[Any] | None = None, *, parent: int | None = None) -> Call:
        """Return a call of the model, for a `with` around it.

        Args:
            messages: all that the model is sent; those that are new since the last call are recorded with it.
            parent: seq of the row that led to it; default: the newest row.
        """
        seen = ABSENT if messages is None else self._history.new(messages) or ABSENT
        return Call(lambda said: self._record("model", _shown(said.answer), seen, parent, said))

    def tool(
        self, name: str, arguments: object = None, *, parent: int | None = None, kind: Literal["tool", "judge"] = "tool"
    ) -> Call:
        """Return a call of a tool, for a `with` around it.

        Args:
            name: of the tool.
            arguments: JSON data.
            parent: seq of the model's call that asked for it; default: the newest row. Of several that run at the same
                time, say it.
            kind: a judge is called as a tool is.
        """
        asked = {"tool": name, "arguments": plain(arguments)}
        parent = self.last if parent is None else parent
        return Call(lambda said: self._record(kind, asked, _shown(said.answer), parent, said))

    def human(self, message: object) -> int | None:
        """Record what a person said in the middle of an episode; return the seq of its row."""
        self._history.recorded(message)
        return self.step(ABSENT, _shown(message), kind="human")

    def step(
        self,
        action: Any = ABSENT,  # noqa: ANN401
        observation: Any = ABSENT,  # noqa: ANN401
        *,
        reward: float = 0.0,
        numbers: Mapping[str, float] | None = None,
        **words: Unpack[StepWords],
    ) -> int | None:
        """Record any other step; see Recorder.step. Returns its seq."""
        return self._row(action, observation, reward, False, False, numbers or {}, words)

    def recorded_tool(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function, which may be a coroutine function, as a tool: each call is recorded under its name."""
        name = getattr(function, "__name__", "tool")
        if inspect.iscoroutinefunction(function):

            async def call_task(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - as the function has it
                with self.tool(name, by_name(args, kwargs)) as made:
                    result = await function(*args, **kwargs)
                    made.returns(result)
                    return result

            return cast("Callable[P, R]", call_task)

        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.tool(name, by_name(args, kwargs)) as made:
                result = function(*args, **kwargs)
                made.returns(result)
                return result

        return call

    def bound(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function with this episode as its current one: for another thread, which knows none."""
        context = copy_context()
        context.run(self._current.set, self)

        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return context.copy().run(function, *args, **kwargs)

        return call

    # --- its end --------------------------------------------------------------------------------------------------

    def end(
        self, reward: float = 0.0, *, stop: str = "", truncated: bool = False, status: Status | None = None
    ) -> None:
        """End the episode, unless it has ended; a reward that is not known yet comes by `score`, at any time.

        Args:
            reward: for the whole, or for what is left of it.
            stop: why it stopped, in words.
            truncated: it was cut off: by a limit of turns, for example.
            status: how it went, if that is not "ok".
        """
        self._end(reward, truncated, {"stop": stop or None, "kind": "env", "status": status})

    def _end(self, reward: float, truncated: bool, words: StepWords) -> None:
        if not self._over:
            self._row(ABSENT, ABSENT, reward, not truncated, truncated, {}, words)

    def score(
        self,
        value: float | None,
        *,
        name: str = "reward",
        label: str = "",
        text: str = "",
        judge: str = "",
        seq: int | None = None,
    ) -> None:
        """Judge the episode, or the step of it that has `seq`, also long after its end: see Recorder.score."""
        if self.number < 0:
            return
        said: ScoreWords = {"env": self.env, "episode": self.number, "seq": seq}
        said["label"], said["text"], said["judge"] = label or None, text or None, judge or None
        self._recorder.score(value, name=name, **said)

    def __enter__(self) -> Self:
        self._token = self._current.set(self)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        try:
            if self._token is not None:
                self._current.reset(self._token)
        except ValueError:  # it is left in another task than it was entered in
            log.debug("an episode was left in another context than it was entered in")
        if error is None:
            self.end()
        else:
            self._end(0.0, True, {"stop": f"{type(error).__name__}: {error}"[:4096], "status": status_of(error)})

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    # --- rows -----------------------------------------------------------------------------------------------------

    def _record(self, kind: Kind, action: Any, observation: Any, parent: int | None, said: Said) -> int | None:  # noqa: ANN401
        words: StepWords = {"kind": kind, "status": said.status, "parent": parent, "stop": said.stop}
        self._history.recorded(said.answer)
        return self._row(action, observation, said.reward, said.ends, False, said.numbers, words)

    def _row(
        self,
        action: Any,  # noqa: ANN401
        observation: Any,  # noqa: ANN401
        reward: float,
        terminated: bool,
        truncated: bool,
        numbers: Mapping[str, float],
        words: StepWords,
    ) -> int | None:
        with self._slots.row:
            if self._over:
                log.warning(
                    "run %s, agent %s: a step came after the end of its episode, and is not recorded",
                    self._recorder.run,
                    self._recorder.agent,
                )
                return None
            if words.get("parent") is None and self.last is not None:
                words["parent"] = self.last
            if numbers:
                self._recorder.log(numbers)
            seq = self._recorder.step(action, reward, terminated, truncated, observation, env=self.env, **words)
            self.last = self.last if seq is None else seq
            if terminated or truncated:
                self._over = True
                self._slots.give_back(self.env)
            return seq


def _shown(value: Any) -> Any:  # noqa: ANN401
    """Return what is recorded of something said: text and JSON data; None is an empty text."""
    return "" if value is None else plain(value)

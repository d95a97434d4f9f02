"""Records the environments that a trainer makes, resets and lets the model call: an instance has one episode at a time.

The trainer looks at the class of an instance: its public methods are the tools, `type(instance)` tells whose reward it
is. So a recorded environment is of a subclass, made once for each class, that has the same methods and nothing public
besides; what belongs to the recording is kept here, by instance.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import Any

from runbus.llm import Agent, Episode

log = logging.getLogger(__name__)
Labels = Callable[[object], dict[str, str]]


@dataclass(slots=True)
class _Rollout:
    """What an environment is in the middle of.

    Attributes:
        environment: which one; while it is held here, no other has its id.
        episode: of it.
        heard: what the model said in it is recorded.
        paid: `get_reward` was asked.
        reward: what it said; NaN = none.
        over: the episode has ended.
    """

    environment: object
    episode: Episode
    heard: bool = False
    paid: bool = False
    reward: float = math.nan
    over: bool = False


class RecordedEnvironments:
    """The environments of one trainer.

    Args:
        agent: whose episodes they are.
        labels: says whose rollout a prompt begins.
    """

    def __init__(self, agent: Agent, labels: Labels) -> None:
        self._agent = agent
        self._labels = labels
        self._lock = threading.Lock()
        self._classes: dict[type, type] = {}
        self._rollouts: dict[int, _Rollout] = {}
        #: Reward functions are recorded too. The trainer calls them before `get_reward` or behind it, and only they
        #: know what the model said: an episode ends once it has both.
        self.has_judges = False

    def factory(self, factory: Callable[[], Any]) -> Callable[[], Any]:
        """Return a factory of recorded environments."""

        @functools.wraps(factory, updated=())
        def make() -> Any:  # noqa: ANN401
            made = factory()
            try:
                made.__class__ = self._class_of(type(made))
            except TypeError as error:
                log.warning("an environment of %s is not recorded: %s", type(made).__name__, error)
            return made

        return make

    def judged(self, environment: object, completion: object) -> Episode | None:
        """Return the episode of an environment, with what the model said in it at last; None = it has none."""
        rollout = self._rollouts.get(id(environment))
        if rollout is None:
            return None
        if not (rollout.heard or rollout.over):
            rollout.heard = True
            rollout.episode.step(_said(completion), kind="model")
            if rollout.paid or not hasattr(environment, "get_reward"):
                _finish(rollout)
        return rollout.episode

    def close(self) -> None:
        """End what has its reward and waited for functions."""
        for rollout in self._rollouts.values():
            if rollout.paid:
                _finish(rollout)

    def _class_of(self, kind: type) -> type:
        with self._lock:
            if kind not in self._classes:
                self._classes[kind] = self._subclass(kind)
            return self._classes[kind]

    def _subclass(self, kind: type) -> type:
        namespace: dict[str, Any] = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
        namespace |= {"__doc__": kind.__doc__, "__slots__": ()}
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if isinstance(inspect.getattr_static(kind, name), staticmethod):
                continue  # no tool: the trainer takes methods
            if name == "reset":
                namespace[name] = self._reset(method)
            elif name == "get_reward":
                namespace[name] = self._get_reward(method)
            elif not name.startswith("_"):
                namespace[name] = self._tool(method)
        return type(kind.__name__, (kind,), namespace)

    # --- methods --------------------------------------------------------------------------------------------------

    def _reset(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def reset(environment: object, *args: Any, **row: Any) -> Any:  # noqa: ANN401
            seen = method(environment, *args, **row)
            self._begin(environment, row, seen)
            return seen

        return reset

    def _begin(self, environment: object, row: dict[str, Any], seen: object) -> None:
        before = self._rollouts.pop(id(environment), None)
        if before is not None and before.paid:
            _finish(before)
        elif before is not None:
            before.episode.end(truncated=True, stop="the environment was reset before anybody judged it")
        prompt = row.get("prompt")
        first = {"prompt": prompt, "observation": seen} if seen is not None and prompt is not None else (prompt or seen)
        self._rollouts[id(environment)] = _Rollout(environment, self._agent.episode(first, labels=self._labels(prompt)))

    def _tool(self, method: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(method):

            @functools.wraps(method)
            async def call_beside(environment: object, *args: Any, **named: Any) -> Any:  # noqa: ANN401
                return await self._recorded(method, environment)(*args, **named)

            return call_beside

        @functools.wraps(method)
        def call(environment: object, *args: Any, **named: Any) -> Any:  # noqa: ANN401
            return self._recorded(method, environment)(*args, **named)

        return call

    def _recorded(self, method: Callable[..., Any], environment: object) -> Callable[..., Any]:
        """Return the method of an environment, as a tool of the episode that it is in the middle of."""
        bound: Callable[..., Any] = MethodType(method, environment)
        rollout = self._rollouts.get(id(environment))
        return bound if rollout is None or rollout.over else rollout.episode.recorded_tool(bound)

    def _get_reward(self, method: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(method):

            @functools.wraps(method)
            async def judge_beside(environment: object) -> Any:  # noqa: ANN401
                reward = await method(environment)
                self._end(environment, reward)
                return reward

            return judge_beside

        @functools.wraps(method)
        def judge(environment: object) -> Any:  # noqa: ANN401
            reward = method(environment)
            self._end(environment, reward)
            return reward

        return judge

    def _end(self, environment: object, reward: object) -> None:
        rollout = self._rollouts.get(id(environment))
        if rollout is None or rollout.paid:
            return
        rollout.paid = True
        with contextlib.suppress(TypeError, ValueError):  # None, or what is no number: no reward
            rollout.reward = float(reward)  # type: ignore[arg-type]
        if rollout.heard or not self.has_judges:
            _finish(rollout)


def _finish(rollout: _Rollout) -> None:
    """End the episode with the reward that the environment gave it; none is no 0."""
    if rollout.over:
        return
    rollout.over = True
    rollout.episode.end(0.0 if math.isnan(rollout.reward) else rollout.reward)
    if rollout.paid and math.isnan(rollout.reward):
        name = type(rollout.environment).__name__
        rollout.episode.score(None, name=name, label="not judged", judge=name)


def _said(completion: object) -> object:
    """Return what the model said at last: of a list of messages the last one that is its own."""
    if isinstance(completion, list):
        own = [message for message in completion if isinstance(message, dict) and message.get("role") == "assistant"]
        return own[-1] if own else completion
    return completion

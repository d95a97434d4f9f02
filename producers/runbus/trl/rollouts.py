"""Joins the calls that a trainer makes of reward functions and environments into episodes with their scores."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import logging
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from runbus.config.sources import read_sources
from runbus.kafka.settings import KafkaSettings
from runbus.llm import Agent, Episode
from runbus.llm.values import plain
from runbus.recorder import Metrics
from runbus.recorder.bus import RunBus
from runbus.trl.environments import RecordedEnvironments

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Batch:
    """The completions that all reward functions of one call of the trainer judge."""

    completions: object
    step: int
    episodes: Sequence[Episode]


class RecordRollouts:
    """Records the rollouts of one trainer: each completion is an episode, each reward function's answer a score of it.

    Where environments make the rollout, the episode is theirs: from `reset` to `get_reward`, with every tool that was
    called. It never raises into the training and never waits for the broker.

    Args:
        run: name of the run.
        agent: who acts; each process of a distributed training is an agent of its own. Default: `policy-` and its rank.
        config, labels, tags, bus, settings, kafka: see Recorder.

    Raises:
        ConfigError: a name or a setting is unusable.
    """

    def __init__(
        self,
        run: str,
        agent: str = "",
        *,
        config: object = None,
        labels: Mapping[str, object] | None = None,
        tags: Iterable[str] | str | None = None,
        bus: RunBus | None = None,
        settings: KafkaSettings | None = None,
        kafka: bool = True,
    ) -> None:
        agent = (
            agent or f"policy-{read_sources().environ.get('RANK', '0')}"
        )  # as torchrun and accelerate number processes
        self.agent = Agent(run, agent, config=config, labels=labels, tags=tags, bus=bus, settings=settings, kafka=kafka)
        self._run = run
        own = bus is not None or settings is not None or not kafka
        self._beside: dict[str, Any] | None = {"bus": bus, "settings": settings, "kafka": kafka} if own else None
        self._environments = RecordedEnvironments(self.agent, self._labels)
        self._lock = threading.Lock()  # functions that are coroutines are called in another thread than the others
        self._newest: _Batch | None = None
        self._state: object = None  # of the trainer, who changes it: known from the first call of a function on
        self._said = False

    # --- what the trainer gets --------------------------------------------------------------------------------------

    def rewards(self, functions: Any) -> list[Any]:  # noqa: ANN401 - what `reward_funcs` may be
        """Return reward functions to give to the trainer, under their own names.

        A model, or the name of one, stays as it is: the trainer calls its layers, and nobody can stand between. Its
        reward is in the trainer's logs.
        """
        wanted = functions if isinstance(functions, list) else [functions]
        made = [one if isinstance(one, str) or _is_module(one) else self._reward(one) for one in wanted]
        self._environments.has_judges |= any(new is not old for new, old in zip(made, wanted, strict=True))
        return made

    def environments(self, factory: Any) -> Any:  # noqa: ANN401 - a callable, or names of callables
        """Return an `environment_factory` whose environments are recorded; tools keep names, signatures and texts."""
        if isinstance(factory, Mapping):
            return {name: self._environments.factory(one) for name, one in factory.items()}
        return self._environments.factory(factory)

    def callback(self, source: str = "learner-0") -> Any:  # noqa: ANN401 - transformers is not there where types are checked
        """Return a TrainerCallback that records what the trainer logs, and its checkpoints; needs transformers."""
        from runbus.shims.transformers import MetricsCallback

        beside = self._run if self._beside is None else Metrics(self._run, source, **self._beside)
        return MetricsCallback(beside, source)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all is delivered or dropped; return whether it was within `timeout` seconds."""
        return self.agent.flush(timeout)

    def close(self) -> None:
        """End the stream; rollouts that nobody has judged are abandoned."""
        self._environments.close()
        self.agent.close()

    def __enter__(self) -> Self:
        self.agent.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._environments.close()
        self.agent.__exit__(kind, error, traceback)

    # --- rewards ------------------------------------------------------------------------------------------------------

    def _reward(self, function: Callable[..., Any]) -> Callable[..., Any]:
        name = _name_of(function)
        wrapped: Callable[..., Any]
        if inspect.iscoroutinefunction(function):

            async def judge_beside(*args: Any, **called: Any) -> Any:  # noqa: ANN401
                rewards = await function(*args, **called)
                self._judged(name, rewards, called)
                return rewards

            wrapped = judge_beside
        else:

            def judge(*args: Any, **called: Any) -> Any:  # noqa: ANN401
                rewards = function(*args, **called)
                self._judged(name, rewards, called)
                return rewards

            wrapped = judge
        functools.update_wrapper(wrapped, function)
        wrapped.__name__ = name
        return wrapped

    def _judged(self, name: str, rewards: Any, called: Mapping[str, Any]) -> None:  # noqa: ANN401
        """Record what a reward function said of each completion. None and NaN are no 0: it did not judge that one."""
        try:
            for episode, reward in zip(self._episodes(called), rewards, strict=True):
                value = None if reward is None else float(reward)
                if value is None or math.isnan(value):
                    episode.score(None, name=name, label="not judged", judge=name)
                else:
                    episode.score(value, name=name, judge=name)
        except Exception as error:  # noqa: BLE001 - whatever it is, the training goes on
            self._complain(f"the rewards of {name} are not recorded: {type(error).__name__}: {error}")

    def _episodes(self, called: Mapping[str, Any]) -> Sequence[Episode]:
        """Return the episodes of a call: those of the call before, if it was about the same completions."""
        completions = called["completions"]
        with self._lock:
            self._state = called.get("trainer_state")
            newest, step = self._newest, self._step
            if newest is None or newest.completions is not completions or newest.step != step:
                self._newest = newest = _Batch(completions, step, self._recorded(called))
            return newest.episodes

    def _recorded(self, called: Mapping[str, Any]) -> Sequence[Episode]:
        prompts, completions = called["prompts"], called["completions"]
        tokens = called.get("completion_ids") or [None] * len(prompts)
        environments = called.get("environments") or [None] * len(prompts)
        made, samples = [], dict[str, int]()
        for at, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
            episode = self._environments.judged(environments[at], completion)
            if episode is None:
                labels = self._labels(prompt, samples)
                episode = self.agent.episode(prompt, labels=labels)
                with episode.model() as call:
                    call.returns(completion, usage=None if tokens[at] is None else {"output_tokens": len(tokens[at])})
                episode.end()
            made.append(episode)
        return made

    def _labels(self, prompt: object, samples: dict[str, int] | None = None) -> dict[str, str]:
        """Return whose rollout it is: all of one prompt in one step of the policy are a group."""
        task = hashlib.sha256(json.dumps(plain(prompt), default=str, sort_keys=True).encode()).hexdigest()[:12]
        labels = {"task": task, "group": f"{self._step}-{task}", "policy": str(self._step)}
        if samples is not None:
            samples[task] = samples.get(task, -1) + 1
            labels["sample"] = str(samples[task])
        return labels

    @property
    def _step(self) -> int:
        """The step of the policy now."""
        return int(getattr(self._state, "global_step", 0) or 0)

    def _complain(self, text: str) -> None:
        if not self._said:
            self._said = True
            log.warning("run %s: %s; further ones are not said", self._run, text)


def _name_of(function: Any) -> str:  # noqa: ANN401
    """Return the name under which the trainer shows a function: as it finds it itself."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def _is_module(one: object) -> bool:
    """Return whether it is a model: PyTorch's, without importing it."""
    return callable(getattr(one, "forward", None)) and callable(getattr(one, "parameters", None))

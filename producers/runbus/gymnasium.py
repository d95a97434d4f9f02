"""Records a Gymnasium environment by wrapping it: `env = RecordSteps(env, run="cartpole-1")`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces

from runbus.config.errors import ConfigError
from runbus.kafka.settings import KafkaSettings
from runbus.recorder.bus import RunBus
from runbus.recorder.outcome import outcome_of
from runbus.recorder.recorder import Recorder
from runbus.recorder.text import json_text
from runbus.recorder.values import Observations

_MAX_BOUNDS = 16  # a bound of more values is given by its least and greatest


class RecordSteps(gymnasium.Wrapper[Any, Any, Any, Any], gymnasium.utils.RecordConstructorArgs):
    """Passes everything through unchanged, and records every reset and step on the way.

    Args:
        env: a single environment. Observations may be of Box, Discrete, MultiDiscrete, MultiBinary, Dict, Tuple and
            Text spaces.
        recorder: an open recorder that the caller closes; default: one of its own, closed with the environment.
        run, agent, config, bus, settings, observations, kafka: for a recorder of its own; see Recorder.
        record_info: also record the info dictionaries, as JSON.

    Raises:
        ConfigError: neither or both of recorder and run are given, or `env` is a vector environment.
    """

    def __init__(  # noqa: PLR0913 - the recorder's options, by name
        self,
        env: gymnasium.Env[Any, Any],
        recorder: Recorder | None = None,
        *,
        run: str | None = None,
        agent: str = "agent-0",
        config: Mapping[str, Any] | None = None,
        bus: RunBus | None = None,
        settings: KafkaSettings | None = None,
        observations: Observations = "auto",
        record_info: bool = False,
        kafka: bool = True,
    ) -> None:
        given: object = env
        if isinstance(given, gymnasium.vector.VectorEnv):
            raise ConfigError(
                f"RecordSteps records one environment, {type(env).__name__} is a vector of them: "
                "wrap each of its environments, or call Recorder.step_vector in the loop"
            )
        if (recorder is None) == (run is None):
            raise ConfigError("give RecordSteps either recorder=, or run= (and agent=) for a recorder of its own")
        if recorder is not None:
            run, agent = recorder.run, recorder.agent
        gymnasium.utils.RecordConstructorArgs.__init__(
            self,
            run=run,
            agent=agent,
            config=config,
            observations=observations,
            record_info=record_info,
            kafka=kafka,
        )
        gymnasium.Wrapper.__init__(self, env)
        self._owned = recorder is None
        self.recorder = recorder or Recorder(
            run or "",
            agent,
            config=config,
            observation_space=space_json(env.observation_space),
            action_space=space_json(env.action_space),
            bus=bus,
            settings=settings,
            observations=observations,
            kafka=kafka,
        )
        self._record_info = record_info
        self._failure: BaseException | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment and record it."""
        try:
            result = self.env.reset(seed=seed, options=options)
        except BaseException as error:
            self._failure = error
            raise
        self._failure = None  # the loop has recovered from an earlier one
        self.recorder.reset(result[0], seed=seed, info=result[1] if self._record_info else None)
        return result

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """Step the environment and record it."""
        given = action if type(action) in _IMMUTABLE else _copied(action)  # the environment may write into it
        try:
            result = self.env.step(action)
        except BaseException as error:
            self._failure = error
            raise
        observation, reward, terminated, truncated, info = result
        self.recorder.step(given, reward, terminated, truncated, observation, info=info if self._record_info else None)
        return result

    def close(self) -> None:
        """Close the environment, and the recorder if it is the wrapper's own."""
        try:
            super().close()
        except BaseException as error:
            self._failure = error
            raise
        finally:
            if self._owned:
                outcome, text = outcome_of(self._failure) if self._failure else ("completed", "")
                self.recorder.close(outcome, text)

    def __exit__(self, *args: Any) -> bool:  # noqa: ANN401 - as Gymnasium declares it
        self._failure = self._failure if args[1] is None else args[1]
        return super().__exit__(*args)


_IMMUTABLE = frozenset([int, float, bool, str, type(None), np.int64, np.int32, np.float32, np.float64])


def _copied(action: Any) -> Any:  # noqa: ANN401 - any action
    """Return a copy of an action; one that refuses to be copied is recorded as it is after the step."""
    try:
        return action.copy() if type(action) is np.ndarray else deepcopy(action)
    except Exception:  # noqa: BLE001 - the action is the user's, and the loop goes on
        return action


def space_json(space: spaces.Space[Any]) -> str:
    """Return a space as JSON that can be read without Gymnasium: type, shape, dtype, bounds."""
    return json_text(_described(space))


def _described(space: spaces.Space[Any]) -> dict[str, object]:
    described: dict[str, object] = {"type": type(space).__name__}
    if space.shape is not None:
        described["shape"] = list(space.shape)
    if space.dtype is not None:
        described["dtype"] = np.dtype(space.dtype).name
    match space:
        case spaces.Box():
            described |= {"low": _bound(space.low, min), "high": _bound(space.high, max)}
        case spaces.Discrete():
            described |= {"n": int(space.n), "start": int(space.start)}
        case spaces.MultiDiscrete():
            described |= {"nvec": space.nvec.tolist(), "start": space.start.tolist()}
        case spaces.Dict():
            described["spaces"] = {key: _described(part) for key, part in space.spaces.items()}
        case spaces.Tuple():
            described["spaces"] = [_described(part) for part in space.spaces]
        case spaces.Text():
            described |= {"min_length": space.min_length, "max_length": space.max_length}
        case _:
            described["text"] = str(space)
    return described


def _bound(values: np.ndarray[Any, Any], pick: Callable[[Any], Any]) -> object:
    """Return a Box's bound: every value if they are few, else the outermost one."""
    return values.tolist() if values.size <= _MAX_BOUNDS else pick(values.ravel()).item()

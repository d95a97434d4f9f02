"""Holds what both wrappers share: whose the recorder is, which of its envs are the wrapper's, how the loop ended."""

from __future__ import annotations

import json
import weakref
from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium import spaces

from runbus.config.errors import ConfigError
from runbus.gymnasium.spaces import space_json
from runbus.recorder.config_text import config_text
from runbus.recorder.outcome import outcome_of
from runbus.recorder.recorder import Recorder
from runbus.schemas.events import Outcome

_IMMUTABLE = frozenset([int, float, bool, str, type(None), np.int64, np.int32, np.float32, np.float64])


class RecordedEnvs:
    """The environments of one wrapper in a recorder: its own, or one that several wrappers share.

    Attributes:
        recorder: of these environments.
        envs: their indices in the recorder; no other wrapper has them.
    """

    def __init__(self, recorder: Recorder, count: int, *, owned: bool) -> None:
        self.recorder = recorder
        self._owned = owned
        self._outcome: tuple[Outcome, str] = ("completed", "")
        self._reserve(count)

    def _reserve(self, count: int) -> None:
        self._reservation = self.recorder.reserve_envs(count)
        self.envs = self._reservation.envs
        self._given_back = False
        if not self._owned:  # a wrapper that is forgotten leaves its indices to the next one
            weakref.finalize(self, self.recorder.give_back_envs, self._reservation).atexit = False

    def failed(self, error: BaseException) -> None:
        """Note an exception of the environment or the loop: unless a reset follows, it is the outcome."""
        self._outcome = outcome_of(error)

    def begin(self) -> None:
        """Note a reset: the loop goes on after an earlier exception, or after close()."""
        self._outcome = ("completed", "")
        if self._given_back:
            self._reserve(len(self.envs))

    def close(self) -> None:
        """Close the recorder if it is the wrapper's own; leave the indices to others if not."""
        if self._owned:
            self.recorder.close(*self._outcome)
        elif not self._given_back:
            self._given_back = True
            self.recorder.give_back_envs(self._reservation)


def recorder_of(
    recorder: Recorder | None,
    run: str | None,
    single_spaces: tuple[spaces.Space[Any], spaces.Space[Any]],
    **options: Any,  # noqa: ANN401 - the options of Recorder
) -> Recorder:
    """Return the given recorder, or a new one; either knows the spaces, if it has not begun.

    Args:
        single_spaces: observation and action space of one environment.

    Raises:
        ConfigError: neither or both of recorder and run are given.
    """
    if (recorder is None) == (run is None):
        raise ConfigError("give RecordSteps either recorder=, or run= (and agent=) for a recorder of its own")
    observation, action = map(space_json, single_spaces)
    if recorder is not None:
        recorder.describe_spaces(observation, action)
        return recorder
    return Recorder(run or "", observation_space=observation, action_space=action, **options)


def plain_config(config: object) -> Any:  # noqa: ANN401 - JSON data
    """Return a configuration as JSON data, so that the spec of the environment can be JSON. Raises ConfigError."""
    return None if config is None else json.loads(config_text(config))


def copied(action: Any) -> Any:  # noqa: ANN401 - any action
    """Return a copy of an action: the environment may write into it. One that refuses is recorded as it is then."""
    if type(action) in _IMMUTABLE:
        return action
    try:
        return action.copy() if type(action) is np.ndarray else deepcopy(action)
    except Exception:  # noqa: BLE001 - the action is the user's, and the loop goes on
        return action

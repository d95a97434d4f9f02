"""Knows when Gymnasium's environments reset themselves.

By mode of a vector environment:

- NEXT_STEP: the call behind an end resets; its action is ignored, and the observation of the end was the true last one.
- SAME_STEP: the call of an end resets as well; the true last observation is in its infos, if anywhere.
- DISABLED: the loop resets, by `options={"reset_mask": ...}` (which it may do in any mode).
"""

from __future__ import annotations

import logging
from typing import Any

import gymnasium
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, VectorEnv
from gymnasium.wrappers import Autoreset

from runbus.config.errors import ConfigError

log = logging.getLogger(__name__)

_MODES = {mode.value.lower(): mode for mode in AutoresetMode}


def autoreset_wrapper(env: gymnasium.Env[Any, Any]) -> Autoreset[Any, Any] | None:
    """Return the wrapper that resets this environment by itself; its `autoreset` says that the next step will."""
    found: Any = env
    while isinstance(found, gymnasium.Wrapper):
        if isinstance(found, Autoreset):
            return found
        found = found.env
    return None


def autoreset_mode(env: VectorEnv[Any, Any, Any]) -> AutoresetMode:
    """Return when a vector environment resets its environments: what its metadata says, else NEXT_STEP, with a warning.

    Raises:
        ConfigError: its metadata names no mode of Gymnasium.
    """
    given = (env.metadata or {}).get("autoreset_mode")
    if given is None:
        log.warning(
            "%s does not say in metadata['autoreset_mode'] when it resets its environments: it is recorded as if they "
            "were reset at the step behind an end (NEXT_STEP); set the metadata if that is wrong",
            type(env.unwrapped).__name__,
        )
        return AutoresetMode.NEXT_STEP
    word = str(getattr(given, "value", given)).lower().replace("_", "").replace("-", "")
    if word not in _MODES:
        raise ConfigError(
            f"metadata['autoreset_mode'] of {type(env.unwrapped).__name__} is {given!r}: it must be one of "
            f"{', '.join(mode.name for mode in AutoresetMode)}"
        )
    return _MODES[word]


def resets_again(env: VectorEnv[Any, Any, Any]) -> bool:
    """Return whether an environment that ended and was then reset by the loop is reset once more by the next step.

    AsyncVectorEnv without shared memory does that in mode NEXT_STEP, up to Gymnasium 1.4: its workers forget the end of
    an episode at a reset only where they write into shared memory.
    """
    version = tuple(int(part) for part in gymnasium.__version__.split(".")[:2] if part.isdigit())
    inner = env.unwrapped
    return isinstance(inner, AsyncVectorEnv) and not inner.shared_memory and version <= (1, 4)

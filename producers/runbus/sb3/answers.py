"""Says what a vector environment of Stable-Baselines3 means: it has one flag for two ends, and resets in the same call.

The rules are those of its `DummyVecEnv` and `SubprocVecEnv`, read in version 2.9.2:

- `dones` is terminated or truncated; `info["TimeLimit.truncated"]` is truncated and not terminated. Both at once is
  recorded as terminated: nothing says more.
- An environment that ends is reset in the same call. What is shown is the first observation of the next episode; the
  true last one is in `info["terminal_observation"]`, what the reset said in `reset_infos`.
- Seeds are given to the next `reset()`, and once only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

_LAST = "terminal_observation"
_CUT = "TimeLimit.truncated"


class Answer(NamedTuple):
    """What a step of n environments came to, as `Recorder.step_vector` takes it.

    Attributes:
        terminated, truncated: (n,).
        resets: (n,) of bool, who was reset; None = nobody.
        infos: of each environment: `final_obs` and `final_info` of an episode that ended, the rest of the next one.
    """

    terminated: ArrayLike
    truncated: ArrayLike
    resets: NDArray[np.bool_] | None
    infos: list[dict[str, Any]] | None


def answer_of(dones: ArrayLike, infos: Sequence[Any], begun: Sequence[Any], *, record_info: bool) -> Answer:
    """Return what a step came to. Never raises.

    Args:
        dones: (n,) of bool.
        infos: of each environment.
        begun: of each environment, what its last reset said.
        record_info: whether infos are recorded, beside last observations.
    """
    count = len(infos)
    try:
        ended = np.asarray(dones, np.bool_).reshape(count)
    except Exception:  # noqa: BLE001 - the recorder says what is wrong with these
        return Answer(dones, np.zeros(count, np.bool_), None, None)
    if not ended.any():
        return Answer(ended, ended, None, [_plain(info) for info in infos] if record_info else None)
    truncated = np.zeros(count, np.bool_)
    said = [_plain(info) if record_info else {} for info in infos]
    for row in np.flatnonzero(ended).tolist():
        info = _mapping(infos[row])
        truncated[row] = bool(info.get(_CUT, False))
        said[row] = _first(begun, row) if record_info else {}
        if info.get(_LAST) is not None:
            said[row]["final_obs"] = info[_LAST]
        if record_info:
            said[row]["final_info"] = _plain(info)
    return Answer(ended & ~truncated, truncated, ended, said)


def seeds_of(seeds: object, count: int) -> list[int | None] | None:
    """Return a copy of the seeds that the next reset of `count` environments takes; None if there are none."""
    if not isinstance(seeds, (list, tuple)) or len(seeds) != count or all(seed is None for seed in seeds):
        return None
    return list(seeds)


def _first(begun: Sequence[Any], row: int) -> dict[str, Any]:
    return dict(_mapping(begun[row])) if row < len(begun) else {}


def _plain(info: object) -> dict[str, Any]:
    """Return what an environment said, without what is recorded as observation and flags."""
    return {name: value for name, value in _mapping(info).items() if name not in (_LAST, _CUT)}


def _mapping(info: object) -> Mapping[str, Any]:
    return info if isinstance(info, Mapping) else {}

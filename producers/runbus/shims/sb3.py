"""Records what Stable-Baselines3 logs: a `KVWriter` for its `Logger`.

model.set_logger(Logger(None, [MetricsWriter("ppo-1"), HumanOutputFormat(sys.stdout)]))
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from stable_baselines3.common.logger import HParam, KVWriter

from runbus.recorder import Metrics
from runbus.recorder.reading import gives_array
from runbus.shims.target import Target
from runbus.shims.values import NotKept, summary

_SCALARS = (int, float, str, np.generic)


class MetricsWriter(KVWriter):  # type: ignore[misc] # the package is not there where types are checked
    """Records each dump of a Logger as metrics on the axis `env_steps`.

    Arrays and tensors are kept as summaries, hyper-parameters as a JSON text; videos, figures and images are counted
    and not kept. A key that excludes `runbus` is left out.

    Args:
        run: name of the run, or a Metrics that the writer shall use.
        source: who says it, beside other processes of the run.
    """

    def __init__(self, run: str | Metrics, source: str = "learner-0") -> None:
        self._target = Target(run, source)
        self._not_kept = NotKept("Stable-Baselines3")

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Record what was logged since the last dump."""
        kept: dict[str, Any] = {}
        for key, value in key_values.items():
            if "runbus" not in (key_excluded.get(key) or ()):
                kept |= self._kept(key, value)
        self._target.metrics.log(kept, step=step, axis="env_steps")

    def _kept(self, key: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever was logged
        if isinstance(value, _SCALARS):
            return {key: value}
        if isinstance(value, HParam):
            return {"hparams": json.dumps(value.hparam_dict, default=str)}
        if gives_array(value):
            return {key: summary(value)}
        self._not_kept.count(type(value).__name__)
        return {}

    def not_kept(self) -> dict[str, int]:
        """Return how often each thing came that is not kept."""
        return self._not_kept.counts()

    def close(self) -> None:
        """End the stream; does not wait."""
        self._target.close()

"""Records what a learner of Stable-Baselines3 logs, as metrics: `model.learn(n, callback=MetricsCallback("ppo-1"))`.

With a Logger of one's own: `Logger(None, [MetricsWriter("ppo-1"), HumanOutputFormat(sys.stdout)])`.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
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
        config: of the run; see Recorder.
    """

    def __init__(self, run: str | Metrics, source: str = "learner-0", *, config: object = None) -> None:
        self._target = Target(run, source, config=config)
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


class MetricsCallback(BaseCallback):  # type: ignore[misc] # as above
    """Records each dump of the model's Logger, whichever it has, and what the last update left in it.

    The model's settings are the configuration of the source. A training that goes on in a second `learn()` goes on in
    the record, if it has the same callback. Never ends a training.

    Args:
        run, source: see MetricsWriter.
    """

    def __init__(self, run: str | Metrics, source: str = "learner-0") -> None:
        super().__init__()
        self._run = run
        self._source = source
        self._writer: MetricsWriter | None = None

    def _on_training_start(self) -> None:
        if self._writer is None:
            self._writer = MetricsWriter(self._run, self._source, config=_settings(self.model))
        if self._writer not in self.logger.output_formats:
            self.logger.output_formats.append(self._writer)

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        """Record what no dump has: Stable-Baselines3 dumps before each update, so not behind the last one."""
        writer, logger = self._writer, self.logger
        if writer is not None and writer in logger.output_formats:
            logger.output_formats.remove(writer)
            writer.write(logger.name_to_value, logger.name_to_excluded, self.num_timesteps)

    def close(self) -> None:
        """End the stream, if it was made here; does not wait. The end of the process does it as well."""
        if self._writer is not None:
            self._writer.close()


def _settings(model: object) -> dict[str, object]:
    """Return the plain settings of a model: what is public, and a number or a text."""
    found = {name: value for name, value in vars(model).items() if isinstance(value, (bool, int, float, str))}
    return {"algorithm": type(model).__name__} | {name: found[name] for name in found if not name.startswith("_")}

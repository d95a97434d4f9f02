"""Wraps the vector environment that each environment runner of RLlib steps, where it makes it; takes its results.

RLlib is not imported: its runners hand everything that is needed to their callbacks (new API stack, read in Ray 2.60).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from gymnasium.vector import VectorEnv, VectorWrapper

from runbus.gymnasium.vector import RecordSteps
from runbus.kafka.settings import KafkaSettings
from runbus.recorder import Metrics
from runbus.recorder.values import Observations
from runbus.rllib.names import agent_of, run_of, trial_of_process

log = logging.getLogger(__name__)

#: of a training's results: what is no measurement
_NO_METRICS = frozenset(["config", "hostname", "node_ip", "pid", "date", "timestamp", "trial_id", "done"])
_FLUSH_S = 5.0


class _Runner(RecordSteps):
    """A recorded vector environment whose process may be killed as soon as it is closed."""

    def close(self, **kwargs: Any) -> None:  # noqa: ANN401 - as Gymnasium declares it
        """Close it, and wait until its steps are delivered, a few seconds at most."""
        try:
            super().close(**kwargs)
        finally:
            self.recorder.flush(_FLUSH_S)


class RecordRunners:
    """Records every environment of a training of RLlib, and its results.

    Each environment runner is an agent of the run: `runner-1`, `runner-2`, ..., or `runner-0` in the driver, and
    `eval-1`, ... of those that evaluate. A trial of Tune is a run of its own, `run-TRIAL`. A runner that is started
    again, and environments that are made again after an error, are new attempts of their agent. Can be pickled, and is:
    RLlib sends it to its runners. Multi-agent environments are left as they are, which is logged.

    Args:
        run: name of the run.
        config: of the run; see Recorder. The results have the algorithm's own settings.
        settings: the Kafka to deliver to, from every node; default: environment and configuration file of each runner.
        observations, record_info, kafka: see runbus.gymnasium.vector.RecordSteps.
    """

    def __init__(
        self,
        run: str,
        *,
        config: object = None,
        settings: KafkaSettings | None = None,
        observations: Observations = "auto",
        record_info: bool = False,
        kafka: bool = True,
    ) -> None:
        self._run = run
        self._trial = ""
        self._options: dict[str, Any] = {
            "config": config,
            "settings": settings,
            "observations": observations,
            "record_info": record_info,
            "kafka": kafka,
        }
        self._metrics: Metrics | None = None

    def callbacks(self) -> dict[str, Callable[..., None]]:
        """Return arguments for `AlgorithmConfig.callbacks`; they go beside a `callbacks_class` of one's own."""
        return {"on_environment_created": self.wrap, "on_train_result": self.take}

    def wrap(self, *, env_runner: Any, **_given: Any) -> None:  # noqa: ANN401 - as RLlib calls it
        """Record the environments that a runner has just made."""
        try:
            env_runner.env = self._wrapped(env_runner)
        except Exception:
            log.exception("the environments of a runner of RLlib are not recorded")

    def _wrapped(self, runner: Any) -> Any:  # noqa: ANN401
        """Return the runner's environments, recorded below RLlib's own wrapper, which takes infos apart."""
        env = runner.env
        if not isinstance(env, VectorEnv):
            log.warning(
                "%s is no vector environment of Gymnasium: it is not recorded. Record worlds of several agents with "
                "runbus.pettingzoo, inside of the environment",
                type(env).__name__,
            )
            return env
        names: dict[str, Any] = {
            "run": run_of(self._run, runner.tune_trial_id, self._trial or trial_of_process()),
            "agent": agent_of(runner.worker_index, evaluates=bool(runner.config.in_evaluation)),
        }
        if isinstance(env, VectorWrapper):
            env.env = _Runner(env.env, **names, **self._options)
            return env
        return _Runner(env, **names, **self._options)

    def take(self, *, algorithm: Any, result: Mapping[str, Any], **_given: Any) -> None:  # noqa: ANN401
        """Record the results of an iteration, on the axis `env_steps`."""
        try:
            if self._metrics is None:
                self._metrics = self._begin(algorithm)
            values = {name: value for name, value in result.items() if name not in _NO_METRICS}
            steps = result.get("num_env_steps_sampled_lifetime")
            self._metrics.log(_numbers(values), step=None if steps is None else int(steps), axis="env_steps")
        except Exception:
            log.exception("a result of RLlib is not recorded")

    def _begin(self, algorithm: Any) -> Metrics:  # noqa: ANN401
        run = run_of(self._run, algorithm.trial_id, self._trial or trial_of_process())
        settings = {name: value for name, value in algorithm.config.to_dict().items() if _is_plain(value)}
        return Metrics(
            run, "algorithm", config=settings, settings=self._options["settings"], kafka=self._options["kafka"]
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return what travels to a runner: whose trial it is; the results stay where they are."""
        return {**self.__dict__, "_trial": self._trial or trial_of_process(), "_metrics": None}


def _is_plain(value: object) -> bool:
    return isinstance(value, (bool, int, float, str))


def _numbers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of nested results; texts and objects are no measurements, and no news every iteration."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found[name] = _numbers(value)
        elif not isinstance(value, (str, bytes, type(None))) and (hasattr(value, "__float__")):
            found[name] = value
    return found

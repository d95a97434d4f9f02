"""Records a vector environment of Stable-Baselines3 by wrapping it: `env = RecordVecEnv(env, run="ppo-1")`."""

from __future__ import annotations

import logging
from typing import Any

from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize, is_vecenv_wrapped

from runbus.config.errors import ConfigError
from runbus.gymnasium.recorded_envs import RecordedEnvs, copied, recorder_of
from runbus.kafka.settings import KafkaSettings
from runbus.recorder.bus import RunBus
from runbus.recorder.recorder import Recorder
from runbus.recorder.values import Observations
from runbus.sb3.answers import answer_of, seeds_of

log = logging.getLogger(__name__)


class RecordVecEnv(VecEnvWrapper):  # type: ignore[misc] # the package is not there where types are checked
    """Passes everything through unchanged, and records every reset and step of every environment on the way.

    Put it below wrappers that change what is seen or paid (VecNormalize, VecFrameStack) and give the model the result.
    The environments are the envs 0 to n-1 of the recorder, or the next n if other wrappers share it. An episode that
    ends has its true last observation (`terminal_observation`), or none if the environment has thrown it away.

    Args:
        venv: a VecEnv.
        recorder: an open recorder that the caller closes; default: one of its own, closed with the environment.
        run, agent, config, bus, settings, observations, kafka: for a recorder of its own; see Recorder.
        record_info: also record the infos, as JSON.

    Raises:
        ConfigError: neither or both of recorder and run are given, or `venv` is no VecEnv.
    """

    def __init__(  # noqa: PLR0913 - the recorder's options, by name
        self,
        venv: VecEnv,
        recorder: Recorder | None = None,
        *,
        run: str | None = None,
        agent: str = "agent-0",
        config: object = None,
        bus: RunBus | None = None,
        settings: KafkaSettings | None = None,
        observations: Observations = "auto",
        record_info: bool = False,
        kafka: bool = True,
    ) -> None:
        if not isinstance(venv, VecEnv):
            raise ConfigError(
                f"RecordVecEnv records a VecEnv, {type(venv).__name__} is none: make one with make_vec_env or "
                "DummyVecEnv, or use runbus.gymnasium.RecordSteps"
            )
        if is_vecenv_wrapped(venv, VecNormalize):
            log.warning(
                "RecordVecEnv is above VecNormalize: what is recorded is normalised, and changes with its statistics; "
                "for the environment's own rewards put it below: VecNormalize(RecordVecEnv(...))"
            )
        found = recorder_of(
            recorder,
            run,
            (venv.observation_space, venv.action_space),
            agent=agent,
            config=config,
            bus=bus,
            settings=settings,
            observations=observations,
            kafka=kafka,
        )
        super().__init__(venv)
        self.recorder = found
        self._recorded = RecordedEnvs(found, venv.num_envs, owned=recorder is None)
        self._record_info = record_info
        self._actions: Any = None

    def reset(self) -> Any:  # noqa: ANN401 - whatever the environment shows
        """Reset the environments and record it."""
        inner = self.venv.unwrapped  # wrappers have fields of these names as well, and keep nothing in them
        seeds = seeds_of(getattr(inner, "_seeds", None), self.num_envs)
        try:
            observations = self.venv.reset()
        except BaseException as error:
            self._recorded.failed(error)
            raise
        self._recorded.begin()
        infos = list(inner.reset_infos) if self._record_info else None
        self.recorder.reset_vector(observations, seeds=seeds, infos=infos, envs=self._recorded.envs)
        return observations

    def step_async(self, actions: Any) -> None:  # noqa: ANN401
        """Hand the actions on; what they come to is recorded in `step_wait`."""
        self._actions = copied(actions)
        try:
            self.venv.step_async(actions)
        except BaseException as error:
            self._recorded.failed(error)
            raise

    def step_wait(self) -> Any:  # noqa: ANN401 - as the environment returns it
        """Wait for the step and record it."""
        try:
            result = self.venv.step_wait()
        except BaseException as error:
            self._recorded.failed(error)
            raise
        observations, rewards, dones, infos = result
        answer = answer_of(dones, infos, self.venv.unwrapped.reset_infos, record_info=self._record_info)
        self.recorder.step_vector(
            self._actions,
            rewards,
            answer.terminated,
            answer.truncated,
            observations,
            resets=answer.resets,
            infos=answer.infos,
            envs=self._recorded.envs,
        )
        return result

    def close(self) -> None:
        """Close the environments, and the recorder if it is the wrapper's own."""
        try:
            self.venv.close()
        except BaseException as error:
            self._recorded.failed(error)
            raise
        finally:
            self._recorded.close()

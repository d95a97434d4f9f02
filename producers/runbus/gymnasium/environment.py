"""Records a Gymnasium environment by wrapping it: `env = RecordSteps(env, run="cartpole-1")`."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium

from runbus.config.errors import ConfigError
from runbus.gymnasium.autoreset import autoreset_wrapper
from runbus.gymnasium.recorded_envs import RecordedEnvs, copied, plain_config, recorder_of
from runbus.kafka.settings import KafkaSettings
from runbus.recorder.bus import RunBus
from runbus.recorder.recorder import Recorder
from runbus.recorder.values import Observations


class RecordSteps(gymnasium.Wrapper[Any, Any, Any, Any], gymnasium.utils.RecordConstructorArgs):
    """Passes everything through unchanged, and records every reset and step on the way.

    Wrappers that share a recorder have an env index each: the first 0, the next 1, ...

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
        config: object = None,
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
                "use runbus.gymnasium.vector.RecordSteps"
            )
        found = recorder_of(
            recorder,
            run,
            (env.observation_space, env.action_space),
            agent=agent,
            config=config,
            bus=bus,
            settings=settings,
            observations=observations,
            kafka=kafka,
        )
        gymnasium.utils.RecordConstructorArgs.__init__(
            self,
            run=found.run,
            agent=found.agent,
            config=plain_config(config),
            observations=observations,
            record_info=record_info,
            kafka=kafka,
        )
        gymnasium.Wrapper.__init__(self, env)
        self.recorder = found
        self._recorded = RecordedEnvs(found, 1, owned=recorder is None)
        self._record_info = record_info
        self._autoreset = autoreset_wrapper(env)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment and record it."""
        try:
            result = self.env.reset(seed=seed, options=options)
        except BaseException as error:
            self._recorded.failed(error)
            raise
        self._recorded.begin()
        info = result[1] if self._record_info else None
        self.recorder.reset(result[0], seed=seed, info=info, env=self._recorded.envs.start)
        return result

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """Step the environment and record it."""
        given = copied(action)
        resets = self._autoreset is not None and self._autoreset.autoreset  # then this step is a reset
        try:
            result = self.env.step(action)
        except BaseException as error:
            self._recorded.failed(error)
            raise
        observation, reward, terminated, truncated, info = result
        env, said = self._recorded.envs.start, info if self._record_info else None
        if resets:
            self.recorder.reset(observation, info=said, env=env)
        else:
            self.recorder.step(given, reward, terminated, truncated, observation, info=said, env=env)
        return result

    def close(self) -> None:
        """Close the environment, and the recorder if it is the wrapper's own."""
        try:
            super().close()
        except BaseException as error:
            self._recorded.failed(error)
            raise
        finally:
            self._recorded.close()

    def __exit__(self, *args: Any) -> bool:  # noqa: ANN401 - as Gymnasium declares it
        if isinstance(args[1], BaseException):
            self._recorded.failed(args[1])
        return super().__exit__(*args)

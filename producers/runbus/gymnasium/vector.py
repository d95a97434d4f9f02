"""Records a vector environment by wrapping it: `envs = RecordSteps(envs, run="cartpole-1")`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper
from numpy.typing import NDArray

from runbus.config.errors import ConfigError
from runbus.gymnasium.autoreset import autoreset_mode, resets_again
from runbus.gymnasium.batches import Batches
from runbus.gymnasium.recorded_envs import RecordedEnvs, copied, plain_config, recorder_of
from runbus.kafka.settings import KafkaSettings
from runbus.recorder.bus import RunBus
from runbus.recorder.recorder import Recorder
from runbus.recorder.values import Observations
from runbus.recorder.vector_infos import only_final_observations

if TYPE_CHECKING:
    _Base = VectorWrapper[Any, Any, Any, Any, Any]
else:
    _Base = VectorWrapper  # Gymnasium before 1.4 has no parameters here


class RecordSteps(_Base, gymnasium.utils.RecordConstructorArgs):
    """Passes everything through unchanged, and records every reset and step of every environment on the way.

    The environments are the envs 0 to n-1 of the recorder, or the next n if other wrappers share it. Each episode has
    its own reset, steps and end, whatever resets the environments (`metadata["autoreset_mode"]`): see docs/recorder.md.

    Args:
        env: a vector environment of Gymnasium 1.1 or newer.
        recorder: an open recorder that the caller closes; default: one of its own, closed with the environment.
        run, agent, config, bus, settings, observations, kafka: for a recorder of its own; see Recorder.
        record_info: also record the infos, as JSON: for each environment what it said.

    Raises:
        ConfigError: neither or both of recorder and run are given, `env` is no vector environment, or its autoreset
            mode is none of Gymnasium's.
    """

    def __init__(  # noqa: PLR0913 - the recorder's options, by name
        self,
        env: VectorEnv[Any, Any, Any],
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
        if not isinstance(given, VectorEnv):
            raise ConfigError(
                f"runbus.gymnasium.vector.RecordSteps records vector environments, {type(env).__name__} is none: "
                "use runbus.gymnasium.RecordSteps"
            )
        self._mode, self._resets_again = autoreset_mode(env), resets_again(env)
        found = recorder_of(
            recorder,
            run,
            (env.single_observation_space, env.single_action_space),
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
        _Base.__init__(self, env)
        self.recorder = found
        self._recorded = RecordedEnvs(found, env.num_envs, owned=recorder is None)
        self._record_info = record_info
        self._observations = Batches(env.single_observation_space, env.observation_space, env.num_envs)
        self._actions = Batches(env.single_action_space, env.action_space, env.num_envs)
        self._ended = np.zeros(env.num_envs, np.bool_)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset the environments, or those of `options["reset_mask"]`, and record it."""
        mask = _mask(options, len(self._recorded.envs))  # before Gymnasium takes it out of the options
        try:
            result: tuple[Any, dict[str, Any]] = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]
        except BaseException as error:
            self._recorded.failed(error)
            raise
        observations, infos = result
        self._recorded.begin()
        if not self._resets_again:
            self._ended = self._ended & (False if mask is None else ~mask)
        self.recorder.reset_vector(
            self._observations.rows(observations),
            seeds=_seeds(self.env, seed),
            mask=mask,
            infos=infos if self._record_info else None,
            envs=self._recorded.envs,
        )
        return result

    def step(
        self,
        actions: Any,  # noqa: ANN401
    ) -> tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Step the environments and record it."""
        given = copied(actions)
        try:
            result = self.env.step(actions)
        except BaseException as error:
            self._recorded.failed(error)
            raise
        observations, rewards, terminated, truncated, infos = result
        ended, before = _ended(terminated, truncated, len(self._recorded.envs)), self._ended
        resets, said = None, infos if self._record_info else None
        if self._mode is AutoresetMode.NEXT_STEP:
            resets = before
        elif self._mode is AutoresetMode.SAME_STEP and ended.any():
            resets, said = ended, said or only_final_observations(infos)
        self.recorder.step_vector(
            self._actions.rows(given),
            rewards,
            terminated,
            truncated,
            self._observations.rows(observations),
            resets=resets,
            infos=said,
            envs=self._recorded.envs,
        )
        self._ended = ended
        return result

    def close(self, **kwargs: Any) -> None:  # noqa: ANN401 - as Gymnasium declares it
        """Close the environments, and the recorder if it is the wrapper's own."""
        try:
            super().close(**kwargs)
        except BaseException as error:
            self._recorded.failed(error)
            raise
        finally:
            self._recorded.close()


def _mask(options: dict[str, Any] | None, count: int) -> NDArray[np.bool_] | None:
    """Return a copy of the reset mask of `count` environments; None if there is none."""
    try:
        mask = np.array((options or {})["reset_mask"], np.bool_)
    except Exception:  # noqa: BLE001 - none, or none that an environment takes
        return None
    return mask if mask.shape == (count,) else None


def _ended(terminated: Any, truncated: Any, count: int) -> NDArray[np.bool_]:  # noqa: ANN401
    """Return which of `count` environments ended; none if these are no flags: the recorder says what they are."""
    try:
        ended = np.asarray(terminated, np.bool_) | np.asarray(truncated, np.bool_)
    except Exception:  # noqa: BLE001 - whatever an environment returns
        return np.zeros(count, np.bool_)
    return ended if ended.shape == (count,) else np.zeros(count, np.bool_)


def _seeds(env: VectorEnv[Any, Any, Any], seed: int | Sequence[int | None] | None) -> Sequence[int | None] | None:
    """Return the seed of each environment.

    Gymnasium's own vector environments seed number i with `seed + i`. One that has a single generator for all of them
    (of `make_vec(..., vectorization_mode="vector_entry_point")`) was seeded with the seed itself.
    """
    if not isinstance(seed, (int, np.integer)):
        return seed
    inner = env.unwrapped
    own = isinstance(inner, (SyncVectorEnv, AsyncVectorEnv))
    if not own and getattr(inner, "_np_random_seed", None) == seed:
        return [int(seed)] * env.num_envs
    return [int(seed) + i for i in range(env.num_envs)]

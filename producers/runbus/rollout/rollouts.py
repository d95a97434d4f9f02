"""Records rollouts of many environments: `rollouts = Rollouts(envs=4096, run="ant-1")`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from runbus.config.errors import ConfigError
from runbus.kafka.settings import KafkaSettings
from runbus.recorder.bus import RunBus
from runbus.recorder.complaints import Complaints
from runbus.recorder.outcome import outcome_of
from runbus.recorder.recorder import Recorder
from runbus.recorder.values import Observations
from runbus.rollout.arrays import rollout_of
from runbus.rollout.behind import Behind
from runbus.rollout.copies import Copy, JaxCopies, TorchRing, place_of
from runbus.rollout.rows import RolloutRows
from runbus.rollout.tensordicts import TensorDicts

log = logging.getLogger(__name__)

_AHEAD = 2


class Rollouts:
    """Records what a loop collects: T steps of N environments in one call.

    Never raises into the loop. Arrays of numpy and tensors on the CPU are read before `record` returns; those of JAX,
    and tensors on a device, are brought to the host behind the loop's back: it waits only if the two rollouts before
    are still on their way. A rollout that cannot be recorded is counted (`not_recorded`) and logged once.

    Args:
        recorder: an open recorder that the caller closes; default: one of its own.
        envs: N, how many environments there are. They are the envs 0 to N-1 of the recorder, or the next N.
        observe: the environments whose observations and actions are recorded, as a slice or their indices; of the
            others rewards and ends are. Default: all.
        run, agent, config, observation_space, action_space, bus, settings, observations, kafka: for a recorder of its
            own; see Recorder.

    Raises:
        ConfigError: neither or both of recorder and run are given, `observe` names an environment that is not there,
            or a setting is unusable.
    """

    def __init__(  # noqa: PLR0913 - the recorder's options, by name
        self,
        recorder: Recorder | None = None,
        *,
        envs: int,
        run: str | None = None,
        agent: str = "agent-0",
        observe: slice | Sequence[int] | None = None,
        config: object = None,
        observation_space: str | None = None,
        action_space: str | None = None,
        bus: RunBus | None = None,
        settings: KafkaSettings | None = None,
        observations: Observations = "auto",
        kafka: bool = True,
    ) -> None:
        if (recorder is None) == (run is None):
            raise ConfigError("give Rollouts either recorder=, or run= (and agent=) for a recorder of its own")
        if envs < 1:
            raise ConfigError(f"envs is {envs}: it must be how many environments there are, at least 1")
        observed = _mask(observe, envs)
        self._owned = recorder is None
        self.recorder = recorder or Recorder(
            run or "",
            agent,
            config=config,
            observation_space=observation_space,
            action_space=action_space,
            bus=bus,
            settings=settings,
            observations=observations,
            kafka=kafka,
        )
        self._envs = envs
        self._reserved = self.recorder.reserve_envs(envs)
        self._rows = RolloutRows(self.recorder, self._reserved.envs.start, envs, observed)
        self._complaints = Complaints(log)
        self._jax, self._torch = JaxCopies(), TorchRing(_AHEAD)
        self._behind = Behind(_AHEAD)
        self._tensordicts = TensorDicts()

    def record(  # noqa: PLR0913 - the parts of a rollout, by name
        self,
        observations: Any,  # noqa: ANN401 - arrays, or dicts and tuples of arrays
        actions: Any,  # noqa: ANN401
        rewards: Any,  # noqa: ANN401
        terminated: Any,  # noqa: ANN401
        truncated: Any,  # noqa: ANN401
        *,
        last: Any = None,  # noqa: ANN401
        next_observations: Any = None,  # noqa: ANN401
        final_observations: Any = None,  # noqa: ANN401
        begins: Any = None,  # noqa: ANN401
        extras: Mapping[str, Any] | None = None,
        time_axis: int = 0,
    ) -> None:
        """Record a rollout.

        What came behind the steps is `next_observations`, where the loop has the true ones (TorchRL, gymnax), or the
        next row of `observations`, and `last` behind the last one (buffers of PPO, rsl_rl). In the latter what is shown
        behind an end is the first observation of the next episode; its own last one is in `final_observations`, or
        recorded as absent.

        Args:
            observations: (T, N, ...), those that the actions were chosen by.
            actions: (T, N, ...).
            rewards: (T, N) or (T, N, 1).
            terminated, truncated: the same, of bool. Of a `done` and a `time_out`: done & ~time_out, and time_out.
            last: (N, ...), what is shown behind the last step.
            next_observations: (T, N, ...), what each step led to, also where an episode ended.
            final_observations: (T, N, ...), read where an episode ended.
            begins: (T, N) of bool: steps that begin an episode, also where none ended before, as the loop has reset.
            extras: named numbers (T, N) of each step: values, log-probabilities.
            time_axis: 1 if the arrays are (N, T, ...).
        """
        given = {
            "observations": observations,
            "actions": actions,
            "rewards": rewards,
            "terminated": terminated,
            "truncated": truncated,
            "last": last,
            "following": next_observations,
            "final": final_observations,
            "begins": begins,
            "extras": extras,
        }
        try:
            self._take(given, time_axis)
        except Exception as error:  # noqa: BLE001 - nothing may reach the loop
            self._complain(error)

    def record_tensordict(self, batch: Any) -> None:  # noqa: ANN401 - a TensorDict
        """Record a batch of a collector of TorchRL: `Collector(..., post_collect_hook=rollouts.record_tensordict)`.

        Args:
            batch: of batch size (N, T), or (T,) of one environment, with the keys `action`, `("next", "reward")` and so
                on. Its observations are what is in it and, under the same name, in `next`. An episode that was cut off
                by the collector (another `("collector", "traj_ids")`, `is_init`) is left open; the next one begins.
        """
        try:
            self._take(self._tensordicts.rollout(batch), 1)
        except Exception as error:  # noqa: BLE001 - nothing may reach the loop
            self._complain(error)

    def _take(self, given: Mapping[str, Any], time_axis: int) -> None:
        match place_of(given):
            case "traced":
                self._complaints.say(
                    "traced",
                    "%s: record() is called inside a function that JAX traces, where there are no values: nothing is "
                    "recorded. Call it with what the jitted function returns",
                    self.recorder.stream_id,
                )
            case "host":
                self._behind.finish()  # rollouts stay in order
                self._write(given, time_axis)
            case "torch":
                self._follow(self._torch.start(given), time_axis)
            case "jax":
                self._follow(self._jax.start(given), time_axis)

    def _follow(self, copy: Copy, time_axis: int) -> None:
        def work() -> None:
            try:
                self._write(copy.wait(), time_axis)
            except Exception as error:  # noqa: BLE001 - the thread goes on with the next rollout
                self._complain(error)
            finally:
                copy.release()

        self._behind.hand(work)

    def _write(self, given: Mapping[str, Any], time_axis: int) -> None:
        self._rows.write(rollout_of(given, self._envs, time_axis))

    def _complain(self, error: Exception) -> None:
        self._complaints.say(
            f"refused {type(error).__name__}", "%s: a rollout is not recorded: %s", self.recorder.stream_id, error
        )

    def not_recorded(self) -> dict[str, int]:
        """Return how many rollouts were not recorded, by reason. What is left out of rows is in `recorder.stats()`."""
        return self._complaints.counts()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all that was recorded is delivered or dropped; return whether it was.

        First for the device, for as long as it takes; then at most `timeout` seconds.
        """
        self._behind.finish()
        return self.recorder.flush(timeout)

    def close(self) -> None:
        """Wait for what is on its way from a device; end the stream, if it was made here."""
        self._behind.close()
        self.recorder.give_back_envs(self._reserved)
        if self._owned:
            self.recorder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._behind.close()
        if self._owned and error is not None:
            self.recorder.close(*outcome_of(error))
        self.close()


def _mask(observe: slice | Sequence[int] | None, envs: int) -> NDArray[np.bool_]:
    """Return which environments are observed. Raises ConfigError."""
    mask = np.zeros(envs, np.bool_)
    try:
        mask[
            slice(None) if observe is None else observe if isinstance(observe, slice) else np.asarray(observe, int)
        ] = True
    except (IndexError, ValueError, TypeError) as error:
        raise ConfigError(f"observe={observe!r} of {envs} environments: {error}") from error
    return mask

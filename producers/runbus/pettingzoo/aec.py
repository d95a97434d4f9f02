"""Records a world whose agents act one after the other: `env = RecordAEC(env, run="connect-four-1")`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pettingzoo.utils.wrappers import BaseWrapper

from runbus.gymnasium.recorded_envs import copied
from runbus.kafka.settings import KafkaSettings
from runbus.pettingzoo.world import Result, World, WorldOptions
from runbus.recorder.absent import ABSENT
from runbus.recorder.bus import RunBus
from runbus.recorder.values import Observations


class RecordAEC(BaseWrapper):  # type: ignore[misc]  # PettingZoo has no types
    """Passes everything through unchanged, and records every agent of an AEC environment on the way.

    What an action came to is known when its agent is asked again: then its row has what the agent got since
    (`_cumulative_rewards`, and not the rewards of one step of the world), whether it is over, and what it sees now. So
    the call that removes a dead agent, `step(None)`, writes the row that ends its episode. What nobody looked at by
    `last()` or `observe()` is recorded as absent; the environment is not asked for it.

    Args:
        env: an AECEnv.
        run, together, config, bus, settings, observations, record_info, kafka, labels, tags: see RecordParallel.

    Raises:
        ConfigError: the run has no name, or a setting is unusable.
    """

    def __init__(  # noqa: PLR0913 - the recorder's options, by name
        self,
        env: Any,  # noqa: ANN401 - an AECEnv of any agents
        run: str,
        *,
        together: str = "",
        config: object = None,
        bus: RunBus | None = None,
        settings: KafkaSettings | None = None,
        observations: Observations = "auto",
        record_info: bool = False,
        kafka: bool = True,
        labels: Mapping[str, object] | None = None,
        tags: Iterable[str] | str | None = None,
    ) -> None:
        super().__init__(env)
        options = WorldOptions(run, together, config, bus, settings, observations, record_info, kafka, labels, tags)
        self.world = World(options, env)
        self._pending: dict[Any, Any] = {}  # agent -> its action that has not come to anything yet
        self._seen: dict[Any, Any] = {}  # agent -> what it saw since the world last moved

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Reset the world; what the last actions of its episode came to is recorded as far as it is known."""
        self._settle_all()
        try:
            self.env.reset(seed=seed, options=options)
        except BaseException as error:
            self.world.failed(error)
            raise
        self._seen = {}
        self.world.begin(seed)

    def observe(self, agent: Any) -> Any:  # noqa: ANN401 - as the environment has it
        """Return what an agent sees; it is kept for its next row."""
        observation = self.env.observe(agent)
        self._seen[agent] = copied(observation)
        return observation

    def step(self, action: Any) -> None:  # noqa: ANN401
        """Record what the selected agent's last action came to, then let it act."""
        agent, given = self._selected(), copied(action)
        if agent is not None:
            self._settle(agent)
            if action is not None:
                self._pending[agent] = given
        try:
            self.env.step(action)
        except BaseException as error:
            self.world.failed(error)
            raise
        self.world.tick += 1
        self._seen = {}

    def close(self) -> None:
        """Close the world, and its streams."""
        self._settle_all()
        try:
            self.env.close()
        except BaseException as error:
            self.world.failed(error)
            raise
        finally:
            self.world.close()

    def _selected(self) -> Any:  # noqa: ANN401 - an agent, or None
        try:
            return self.env.agent_selection
        except Exception:  # noqa: BLE001 - before a reset there is none: the environment says so itself
            return None

    def _settle(self, agent: Any) -> None:  # noqa: ANN401
        """Record what an agent's last action came to, or that it acts for the first time."""
        observation = self._seen.get(agent, ABSENT)
        if agent in self._pending:
            self.world.step(agent, self._result(agent, self._pending.pop(agent), observation))
        elif not self._is_over(agent):
            if not self.world.is_open(agent):
                self.world.reset(agent, observation, self._info(agent))
        elif not self.world.was_here(agent):  # it died before it could act
            self.world.step(agent, self._result(agent, ABSENT, observation))

    def _settle_all(self) -> None:
        """Record what all last actions came to: nobody will be asked again."""
        for agent in list(self._pending):
            self._settle(agent)

    def _result(self, agent: Any, action: Any, observation: Any) -> Result:  # noqa: ANN401
        env, value = self.env, self.world.value
        return Result(
            action,
            value(_of(env, "_cumulative_rewards"), agent, "_cumulative_rewards", 0.0),
            value(_of(env, "terminations"), agent, "terminations", False),
            value(_of(env, "truncations"), agent, "truncations", False),
            observation,
            self._info(agent),
        )

    def _is_over(self, agent: Any) -> bool:  # noqa: ANN401
        return any(_of(self.env, name).get(agent) for name in ("terminations", "truncations"))

    def _info(self, agent: Any) -> Mapping[str, Any] | None:  # noqa: ANN401
        return _of(self.env, "infos").get(agent)


def _of(env: Any, name: str) -> Mapping[Any, Any]:  # noqa: ANN401
    """Return a dict of the environment, empty if it has none."""
    try:
        found: Mapping[Any, Any] = getattr(env, name)
    except Exception:  # noqa: BLE001 - the environment's own; what is missing is said where it is needed
        return {}
    return found

"""Records a world whose agents act at the same time: `env = RecordParallel(env, run="spread-1")`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pettingzoo.utils.wrappers import BaseParallelWrapper

from runbus.gymnasium.recorded_envs import copied
from runbus.kafka.settings import KafkaSettings
from runbus.pettingzoo.world import Result, World, WorldOptions
from runbus.recorder.absent import ABSENT
from runbus.recorder.bus import RunBus
from runbus.recorder.values import Observations


class RecordParallel(BaseParallelWrapper):  # type: ignore[misc]  # PettingZoo has no types
    """Passes everything through unchanged, and records every agent of a parallel environment on the way.

    Each agent has its own stream under its own name. A row has the action that the agent gave, and what it got for it;
    an agent that appears, or comes back, begins an episode; one that ends, ends its own episode only. An agent that got
    a reward without having acted has a row without an action.

    Args:
        env: a ParallelEnv.
        run: name of the run.
        together: record all agents in one stream of this name, an env index each, with their names as the label
            `agent` of their episodes: for hundreds of agents, whose own streams would be many small records.
        config, bus, settings, observations, kafka, labels, tags: see Recorder.
        record_info: also record the info dictionaries, as JSON.

    Raises:
        ConfigError: the run has no name, or a setting is unusable.
    """

    def __init__(  # noqa: PLR0913 - the recorder's options, by name
        self,
        env: Any,  # noqa: ANN401 - a ParallelEnv of any agents
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

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[Any, Any], Any]:
        """Reset the world and record what each agent sees."""
        try:
            result: tuple[dict[Any, Any], Any] = self.env.reset(seed=seed, options=options)
        except BaseException as error:
            self.world.failed(error)
            raise
        observations, infos = result
        self.world.begin(seed)
        for agent, observation in observations.items():
            self.world.reset(agent, observation, infos.get(agent))
        return result

    def step(self, actions: dict[Any, Any]) -> tuple[dict[Any, Any], ...]:
        """Step the world and record what each agent did and got."""
        given, alive = {agent: copied(action) for agent, action in actions.items()}, set(self.env.agents)
        try:
            result: tuple[dict[Any, Any], ...] = self.env.step(actions)
        except BaseException as error:
            self.world.failed(error)
            raise
        self.world.tick += 1
        observations, rewards, _, _, infos = result
        for agent in dict.fromkeys((*given, *rewards, *observations)):
            if agent in alive or self.world.is_open(agent):
                if agent in given or agent in rewards:
                    self.world.step(agent, self._result(agent, given, result))
            elif agent in observations and agent in self.env.agents:  # not one that is gone
                self.world.reset(agent, observations[agent], infos.get(agent))
        return result

    def _result(self, agent: Any, given: dict[Any, Any], result: tuple[dict[Any, Any], ...]) -> Result:  # noqa: ANN401
        """Return what the dicts of the world say of an agent."""
        observations, rewards, terminations, truncations, infos = result
        return Result(
            given.get(agent, ABSENT),
            self.world.value(rewards, agent, "rewards", 0.0),
            self.world.value(terminations, agent, "terminations", False),
            self.world.value(truncations, agent, "truncations", False),
            observations.get(agent, ABSENT),
            infos.get(agent),
        )

    def close(self) -> None:
        """Close the world, and its streams."""
        try:
            self.env.close()
        except BaseException as error:
            self.world.failed(error)
            raise
        finally:
            self.world.close()

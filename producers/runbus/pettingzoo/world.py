"""Holds what both wrappers share: a recorder for each agent, the world's tick, the episode that all of them are in."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runbus.config.errors import ConfigError
from runbus.gymnasium.spaces import space_json
from runbus.kafka.settings import KafkaSettings
from runbus.recorder.absent import ABSENT
from runbus.recorder.bus import RunBus
from runbus.recorder.outcome import outcome_of
from runbus.recorder.recorder import Recorder
from runbus.recorder.values import Observations
from runbus.schemas.events import Outcome

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorldOptions:
    """How a world is recorded; see RecordParallel."""

    run: str
    together: str = ""
    config: object = None
    bus: RunBus | None = None
    settings: KafkaSettings | None = None
    observations: Observations = "auto"
    record_info: bool = False
    kafka: bool = True
    labels: Mapping[str, object] | None = None
    tags: Iterable[str] | str | None = None


@dataclass(slots=True)
class _Agent:
    """One agent: where its rows go, the number of its newest episode, whether that is open."""

    recorder: Recorder
    env: int
    labels: Mapping[str, str] | None
    episode: int = -1
    open: bool = False


@dataclass(slots=True)
class Result:
    """What an action came to.

    Attributes:
        action, observation: as of Recorder.step; ABSENT if there was none.
        reward: of the agent, since its action.
        terminated, truncated: whether its episode is over.
        info: of the agent.
    """

    action: Any
    reward: Any
    terminated: Any
    truncated: Any
    observation: Any
    info: Mapping[str, Any] | None = None


class World:
    """Records one world. Its methods do not raise into the loop.

    Every agent has a stream of its own, or all are in one, an env index each. When the world begins anew, the episode
    of every agent gets the same number, whoever was there in the episodes before: so the agents of an episode of the
    world are those with its number.

    Args:
        options: as the wrapper was given them.
        env: knows its agents from the start, or not, and the spaces of each.

    Raises:
        ConfigError: a name or a setting is unusable.
    """

    def __init__(self, options: WorldOptions, env: Any) -> None:  # noqa: ANN401 - of either of PettingZoo's interfaces
        self._options = options
        self._env = env
        self._agents: dict[Hashable, _Agent] = {}
        self._names: set[str] = set()
        self._shared: Recorder | None = None
        self._number = -1
        self._seed: int | None = None
        self._seeded: set[Hashable] = set()
        self._outcome: tuple[Outcome, str] = ("completed", "")
        self._said: set[str] = set()
        #: How many steps the world made since it began.
        self.tick = 0
        if not options.run:
            raise ConfigError("give the run a name: run=")
        agents = list(getattr(env, "possible_agents", ()))
        for agent in agents:
            self._agent(agent)
        if not agents:
            self._new_recorder(options.together or "agent-0", "", "")  # a bad setting is said now, not in the loop

    # --- what the wrappers tell ----------------------------------------------------------------------------------

    def begin(self, seed: int | None) -> None:
        """The world was reset: an episode of every agent that comes has the next number."""
        self._number = 1 + max((agent.episode for agent in self._agents.values()), default=self._number)
        self._outcome = ("completed", "")
        self._seed, self._seeded = seed, set()
        self.tick = 0
        for agent in self._agents.values():
            agent.open = False

    def is_open(self, agent: Hashable) -> bool:
        """Return whether an agent is in the middle of an episode."""
        known = self._agents.get(agent)
        return known is not None and known.open

    def was_here(self, agent: Hashable) -> bool:
        """Return whether an agent has an episode since the world began."""
        known = self._agents.get(agent)
        return known is not None and known.episode >= self._number

    def reset(self, agent: Hashable, observation: Any, info: Mapping[str, Any] | None = None) -> None:  # noqa: ANN401
        """An agent sees its first observation: at the beginning, or because it appears, or comes back."""
        known = self._known(agent)
        if known is None:
            return
        known.episode = max(known.episode + 1, self._number)
        known.open = True
        known.recorder.number_episodes(known.episode, env=known.env)
        seed = self._seed if agent not in self._seeded else None
        self._seeded.add(agent)
        said = info if self._options.record_info else None
        known.recorder.reset(observation, seed=seed, info=said, env=known.env, tick=self.tick, labels=known.labels)

    def step(self, agent: Hashable, result: Result) -> None:
        """An agent got what its action came to."""
        known = self._known(agent)
        if known is None:
            return
        if not known.open:  # its first observation was never seen
            self.reset(agent, ABSENT)
        known.recorder.step(
            result.action,
            result.reward,
            result.terminated,
            result.truncated,
            result.observation,
            info=result.info if self._options.record_info else None,
            env=known.env,
            tick=self.tick,
        )
        known.open = not (result.terminated or result.truncated)

    def value(self, of: Mapping[Any, Any], agent: Hashable, name: str, otherwise: Any) -> Any:  # noqa: ANN401
        """Return what a dict of the world says of an agent; said once if it says nothing."""
        try:
            return of[agent]
        except Exception:  # noqa: BLE001 - the dict is the environment's, and the loop goes on
            self._say(f"{name} says nothing of {agent!r}: it is recorded as {otherwise!r}")
            return otherwise

    def failed(self, error: BaseException) -> None:
        """Note an exception of the world or the loop: unless it begins anew, it is the outcome."""
        self._outcome = outcome_of(error)

    def close(self) -> None:
        """End all streams."""
        for recorder in set(self.recorders.values()):
            recorder.close(*self._outcome)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all that was recorded is delivered or dropped; return whether it was within `timeout` seconds."""
        delivered = [recorder.flush(timeout) for recorder in set(self.recorders.values())]
        return all(delivered)

    @property
    def recorders(self) -> dict[Hashable, Recorder]:
        """The recorder of each agent; the same one for all if they are recorded together."""
        return {agent: known.recorder for agent, known in self._agents.items()}

    # --- agents ---------------------------------------------------------------------------------------------------

    def _known(self, agent: Hashable) -> _Agent | None:
        try:
            return self._agent(agent)
        except Exception as error:  # noqa: BLE001 - an agent that cannot be recorded does not end the loop
            self._say(f"the agent {agent!r} is not recorded: {error}")
            return None

    def _agent(self, agent: Hashable) -> _Agent:
        known = self._agents.get(agent)
        if known is None:
            known = self._agents[agent] = self._new_agent(agent)
        return known

    def _new_agent(self, agent: Hashable) -> _Agent:
        name = self._name(agent)
        if not self._options.together:
            return _Agent(self._new_recorder(name, *self._spaces(agent)), 0, None)
        if self._shared is None:
            self._shared = self._new_recorder(self._options.together, *self._spaces(agent))
        return _Agent(self._shared, len(self._agents), {"agent": name})

    def _name(self, agent: Hashable) -> str:
        """Return the name of an agent: its text; a "/" in it, and another agent's name, are made something else."""
        text = str(agent).replace("/", "%2F") or "%"
        name, number = text, 2
        while name in self._names:
            name, number = f"{text}~{number}", number + 1
        self._names.add(name)
        return name

    def _spaces(self, agent: Hashable) -> tuple[str, str]:
        try:
            return space_json(self._env.observation_space(agent)), space_json(self._env.action_space(agent))
        except Exception:  # noqa: BLE001 - a world that does not know its spaces is recorded without
            return "", ""

    def _new_recorder(self, name: str, observation_space: str, action_space: str) -> Recorder:
        given = self._options
        return Recorder(
            given.run,
            name,
            config=given.config,
            observation_space=observation_space or None,
            action_space=action_space or None,
            bus=given.bus,
            settings=given.settings,
            observations=given.observations,
            kafka=given.kafka,
            labels=given.labels,
            tags=given.tags,
        )

    def _say(self, text: str) -> None:
        if text not in self._said and len(self._said) < 100:
            self._said.add(text)
            log.warning("run %s: %s", self._options.run, text)

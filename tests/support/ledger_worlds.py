"""Worlds of PettingZoo that follow a script and keep a ledger: what each agent saw, did and got, life by life."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils.agent_selector import AgentSelector

AGENTS = ("ant", "bee", "cat")


@dataclass
class Life:
    """One life of an agent: its first observation, and what each action came to."""

    first: Any
    rows: list[tuple[Any, float, bool, bool, Any]] = field(default_factory=list)


Ledger = dict[str, list[Life]]


def _space() -> spaces.Box:
    return spaces.Box(-1e6, 1e6, (2,), np.float32)


class ParallelWorld(ParallelEnv):  # type: ignore[misc]  # PettingZoo has no types
    """Agents live as a script says: a set of those that are there after each step.

    Args:
        episodes: of the world: for each the agents that are there at the reset and after each step; one that goes
            dies, or is cut off at an even step; one that comes appears.
    """

    metadata = {"name": "parallel_world"}  # noqa: RUF012 - as PettingZoo declares it
    possible_agents = list(AGENTS)  # noqa: RUF012 - likewise

    def __init__(self, episodes: Sequence[Sequence[frozenset[str]]]) -> None:
        self.episodes = iter(episodes)
        self.ledger: Ledger = {agent: [] for agent in AGENTS}
        self.agents: list[str] = []
        self._buffer = np.zeros(2, np.float32)  # a careless world has one, and writes into it
        self._chance = random.Random(7)

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """Return two numbers."""
        del agent
        return _space()

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """Return one of four."""
        del agent
        return spaces.Discrete(4)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], Any]:
        """Begin the next episode of the script."""
        del seed, options
        self._script = iter(next(self.episodes))
        self.agents = sorted(next(self._script))
        seen = {agent: self._observation() for agent in self.agents}
        for agent, observation in seen.items():
            self.ledger[agent].append(Life(observation.copy()))
        return seen, {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """Let everybody act."""
        before, after = self.agents, sorted(next(self._script))
        self.agents = after
        seen = {agent: self._observation() for agent in {*before, *after}}
        rewards = {agent: self._chance.random() for agent in before}
        gone = {agent: agent not in after for agent in before}
        cut = {agent: gone[agent] and self._chance.random() < 0.5 for agent in before}
        dies = {agent: gone[agent] and not cut[agent] for agent in before}
        for agent in before:
            row = (actions[agent], rewards[agent], dies[agent], cut[agent], seen[agent].copy())
            self.ledger[agent][-1].rows.append(row)
        for agent in set(after) - set(before):
            self.ledger[agent].append(Life(seen[agent].copy()))
        return seen, rewards, dies, cut, {agent: {} for agent in seen}

    def _observation(self) -> Any:
        return np.array([self._chance.random(), self._chance.random()], np.float32)


class TurnsWorld(AECEnv):  # type: ignore[misc]  # PettingZoo has no types
    """Agents act one after the other; each turn pays everybody; agents die in their own and in others' turns.

    Args:
        lengths: of each episode of the world, in turns of living agents.
        chance: decides who dies when.
    """

    metadata = {"name": "turns_world"}  # noqa: RUF012 - as PettingZoo declares it
    possible_agents = list(AGENTS)  # noqa: RUF012 - likewise

    def __init__(self, lengths: Sequence[int], chance: random.Random) -> None:
        super().__init__()
        self._lengths = iter(lengths)
        self._chance = chance
        self.ledger: Ledger = {agent: [] for agent in AGENTS}
        self._acted: dict[str, Any] = {}
        self._sums: dict[str, float] = {}

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """Return two numbers."""
        del agent
        return _space()

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """Return one of four."""
        del agent
        return spaces.Discrete(4)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begin the next episode; what was open stays without an end."""
        del seed, options
        self._write_open()
        self._left = next(self._lengths)
        self.agents = list(AGENTS)
        self.rewards = dict.fromkeys(AGENTS, 0.0)
        self._cumulative_rewards = dict.fromkeys(AGENTS, 0.0)
        self.terminations = dict.fromkeys(AGENTS, False)
        self.truncations = dict.fromkeys(AGENTS, False)
        self.infos: dict[str, Any] = {agent: {} for agent in AGENTS}
        self._turns = AgentSelector(self.agents)
        self.agent_selection = self._turns.next()
        self._now = {agent: self._observation() for agent in AGENTS}
        self._alive_since: set[str] = set()

    def observe(self, agent: str) -> Any:
        """Return what an agent sees: it changes with every turn."""
        return self._now[agent].copy()

    def step(self, action: Any) -> None:
        """Let the selected agent act, or take it away if it is dead."""
        agent = self.agent_selection
        self._write(agent, self._now[agent])
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            self._select()
            return
        if agent not in self._alive_since:
            self._alive_since.add(agent)
            self.ledger[agent].append(Life(self._now[agent].copy()))
        self._acted[agent], self._sums[agent] = action, 0.0
        self._cumulative_rewards[agent] = 0.0
        self._left -= 1
        self.rewards = {other: self._chance.random() for other in self.agents}
        for other in self.agents:
            if self._left <= 0:
                self.truncations[other] = True
            elif self._chance.random() < 0.1:
                self.terminations[other] = True
            self._sums[other] = self._sums.get(other, 0.0) + self.rewards[other]
        self.agent_selection = self._turns.next()
        self._select()
        self._accumulate_rewards()
        self._deads_step_first()
        self._now = {other: self._observation() for other in AGENTS}

    def _select(self) -> None:
        """Select an agent that is there."""
        while self.agents and self.agent_selection not in self.agents:
            self.agent_selection = self._turns.next()

    def _write(self, agent: str, seen: Any) -> None:
        """Write down what the last action of an agent came to."""
        if agent in self._acted:
            row = (self._acted.pop(agent), self._sums[agent], self.terminations[agent], self.truncations[agent], seen)
            self.ledger[agent][-1].rows.append(row)

    def _write_open(self) -> None:
        for agent in list(self._acted):
            self._write(agent, None)

    def close(self) -> None:
        """Nothing is open."""
        self._write_open()

    def _observation(self) -> Any:
        return np.array([self._chance.random(), self._chance.random()], np.float32)

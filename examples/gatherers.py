"""Records three agents that gather in one world, one of which tires early: `python examples/gatherers.py`, then

runbus query "SELECT episode, agents, team_return, length FROM team_episodes WHERE run_id = 'gatherers'"
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from runbus.pettingzoo import RecordParallel


class Gathering(ParallelEnv):  # type: ignore[misc]  # PettingZoo has no types
    """Fruit grows in four places; who stands where it grew last has it."""

    metadata = {"name": "gathering"}  # noqa: RUF012 - as PettingZoo declares it
    possible_agents = ["ant", "bee", "cat"]  # noqa: RUF012

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """Return how much fruit is in each place."""
        del agent
        return spaces.Box(0, 20, (4,), np.float32)

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """Return the places."""
        del agent
        return spaces.Discrete(4)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], Any]:
        """Begin a day."""
        del options
        self.agents, self.hour, self.chance = list(self.possible_agents), 0, np.random.default_rng(seed)
        self.fruit = np.ones(4, np.float32)
        return {agent: self.fruit.copy() for agent in self.agents}, {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """Let everybody gather for an hour."""
        acted, self.hour = self.agents, self.hour + 1
        rewards = dict.fromkeys(acted, 0.0)
        for agent, place in actions.items():
            rewards[agent], self.fruit[place] = float(self.fruit[place]), 0
        self.fruit[self.chance.integers(4)] += 1
        tired = {agent: agent == "ant" and self.hour == 6 for agent in acted}
        evening = dict.fromkeys(acted, self.hour == 10)
        self.agents = [agent for agent in acted if not (tired[agent] or evening[agent])]
        seen = {agent: self.fruit.copy() for agent in acted}
        return seen, rewards, tired, evening, {agent: {} for agent in acted}


env = RecordParallel(Gathering(), run="gatherers", config={"places": 4})
for day in range(3):
    seen, _ = env.reset(seed=day)
    while env.agents:
        seen, *_ = env.step({agent: int(seen[agent].argmax()) for agent in env.agents})
env.close()

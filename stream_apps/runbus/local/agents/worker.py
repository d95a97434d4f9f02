"""Trains one agent of the demo in its environment and records every step."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium

from runbus.config.deadline import Deadline
from runbus.gymnasium import RecordSteps
from runbus.local.agents.learner import CrossEntropy, Vector
from runbus.local.agents.tasks import Task


class ActionPolicy(Protocol):
    """Acts on an observation, given its parameters."""

    size: int

    def act(self, parameters: Vector, observation: Any) -> Any:  # noqa: ANN401 - as the environment's spaces say
        """Return the action for one observation."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Most seconds and most steps of an agent; it stops at the first of the two. None = no limit."""

    seconds: float | None = None
    steps: int | None = None


def train(task: Task, run: str, agent: str, seed: int, budget: Budget) -> list[float]:
    """Learn until the budget is spent, recording every step; return the episodes' returns."""
    policy = task.policy()
    search = CrossEntropy(policy.size, seed, task.search)
    returns: list[float] = []
    deadline = None if budget.seconds is None else Deadline.after(budget.seconds, time.monotonic())
    steps = 0
    env = RecordSteps(
        gymnasium.make(task.env_id), run=run, agent=agent, config={"env": task.env_id, "seed": seed, "method": "CEM"}
    )
    try:
        while _within(budget, deadline, steps):
            parameters = search.ask()
            total, length = _episode(env, policy, parameters, seed if not returns else None)
            search.tell(parameters, total)
            env.recorder.log({"generation": float(search.generation)})
            returns.append(total)
            steps += length
    finally:
        env.close()
    return returns


def _within(budget: Budget, deadline: Deadline | None, steps: int) -> bool:
    if budget.steps is not None and steps >= budget.steps:
        return False
    return deadline is None or not deadline.passed(time.monotonic())


def _episode(env: RecordSteps, policy: ActionPolicy, parameters: Vector, seed: int | None) -> tuple[float, int]:
    observation, _ = env.reset(seed=seed)
    total, length, over = 0.0, 0, False
    while not over:
        observation, reward, terminated, truncated, _ = env.step(policy.act(parameters, observation))
        total += float(reward)
        length += 1
        over = terminated or truncated
    return total, length

"""The demo's learners really learn, without an engine."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from runbus.local.agents.learner import CrossEntropy, CrossEntropySettings, PendulumPolicy
from runbus.local.agents.tasks import TASKS


def test_the_search_finds_the_top_of_a_hill() -> None:
    """On a smooth function of three parameters the mean of the search comes close to its maximum."""
    target = np.array([1.0, -2.0, 0.5])
    search = CrossEntropy(3, seed=1, settings=CrossEntropySettings(extra_decay=0.8))
    while search.generation < 40:
        parameters = search.ask()
        search.tell(parameters, -float(((parameters - target) ** 2).sum()))
    assert np.abs(search.ask() - target).max() < 0.1


def test_the_same_seed_searches_the_same_way() -> None:
    """Two searches with one seed ask for the same parameters."""
    assert (CrossEntropy(4, seed=7).ask() == CrossEntropy(4, seed=7).ask()).all()


def test_cartpole_improves() -> None:
    """After some generations on CartPole the mean return is at least twice that of the first episodes."""
    task = TASKS["cartpole"]
    policy, env = task.policy(), gymnasium.make(task.env_id)
    search, returns = CrossEntropy(policy.size, 0, task.search), list[float]()
    while search.generation < 8:
        parameters = search.ask()
        observation, _ = env.reset(seed=None if returns else 0)
        total, over = 0.0, False
        while not over:
            observation, reward, terminated, truncated, _ = env.step(policy.act(parameters, observation))
            total, over = total + float(reward), terminated or truncated
        search.tell(parameters, total)
        returns.append(total)
    env.close()
    assert np.mean(returns[-24:]) > 2 * np.mean(returns[:24])


@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_a_torque_fits_the_action_space(scale: float) -> None:
    """Whatever its parameters, the Pendulum policy acts within the space: shape (1,), float32, at most 2."""
    space = gymnasium.make("Pendulum-v1").action_space
    action = PendulumPolicy().act(np.full(10, scale), np.array([0.5, 0.5, 8.0], dtype=np.float32))
    assert space.contains(action)

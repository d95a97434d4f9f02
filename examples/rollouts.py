"""Records the rollouts of 1,024 environments, and what 16 of them saw and did: `python examples/rollouts.py`, then

runbus query "SELECT count(), avg(return) FROM episode_returns WHERE run_id = 'rollouts'"
"""

from __future__ import annotations

import numpy as np

from runbus.rollout import Rollouts

ENVS, T, ROLLOUTS = 1_024, 24, 2


class Ants:
    """Ants that walk, on arrays, shaped as Isaac Lab's environments: what ends is reset in the same step."""

    def __init__(self) -> None:
        self.chance = np.random.default_rng(1)
        self.places = np.zeros((ENVS, 2), np.float32)
        self.age = np.zeros(ENVS, np.int64)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return what is shown, rewards, who fell, whose time is over, and what they saw before they were reset."""
        self.places += actions
        self.age += 1
        final, fell, late = self.places.copy(), self.chance.random(ENVS) < 0.02, self.age >= 20
        self.places[fell | late], self.age[fell | late] = 0, 0
        return self.places.copy(), actions[:, 0].copy(), fell, late, final


ants = Ants()
shown = ants.places.copy()
with Rollouts(envs=ENVS, run="rollouts", agent="ants", observe=slice(0, 16)) as rollouts:
    for _ in range(ROLLOUTS):
        buffer = []
        for _ in range(T):
            actions = ants.chance.normal(size=(ENVS, 2)).astype(np.float32)
            after, rewards, fell, late, final = ants.step(actions)
            buffer.append((shown, actions, rewards, fell & ~late, late, final))
            shown = after
        *steps, finals = map(np.stack, zip(*buffer, strict=True))
        rollouts.record(*steps, last=shown, final_observations=finals)

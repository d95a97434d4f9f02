"""Counts the episodes of each environment of a stream, and the steps of each episode."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NO_EPISODE = -1


class EnvPositions:
    """Episode and step per env. Single steps use a dict; the first vector call moves everything into arrays.

    An episode begins with a reset (step 0). A step before any reset belongs to episode 0.
    """

    def __init__(self) -> None:
        self._single: dict[int, list[int]] = {}
        self._episode: NDArray[np.int64] = np.empty(0, np.int64)
        self._step: NDArray[np.int32] = np.empty(0, np.int32)
        self._vector = False
        self._begun = 0  # every env below it has an episode
        #: episodes begun, over all envs
        self.episodes = 0

    def reset(self, env: int) -> tuple[int, int]:
        """Begin an episode of `env`; return (episode, 0)."""
        if self._vector:
            episodes, _ = self.reset_many(np.array([env]))
            return int(episodes[0]), 0
        state = self._single.setdefault(env, [NO_EPISODE, 0])
        state[0] += 1
        state[1] = 0
        self.episodes += 1
        return state[0], 0

    def step(self, env: int) -> tuple[int, int]:
        """Advance `env` by a step; return (episode, step)."""
        if self._vector:
            episodes, steps = self.step_many(np.array([env]))
            return int(episodes[0]), int(steps[0])
        state = self._single.get(env)
        if state is None:
            self.reset(env)
            state = self._single[env]
        state[1] += 1
        return state[0], state[1]

    def reset_many(self, envs: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Begin an episode of each of `envs` (int64, distinct); return their (episode, step) columns, copies."""
        self._grow(envs)
        self._episode[envs] += 1
        self._step[envs] = 0
        self.episodes += len(envs)
        return self._episode[envs], self._step[envs]

    def step_many(self, envs: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Advance each of `envs` by a step; return their (episode, step) columns, copies."""
        self._grow(envs)
        unseen = envs[self._episode[envs] == NO_EPISODE]
        if unseen.size:
            self.reset_many(unseen)
        self._step[envs] += 1
        return self._episode[envs], self._step[envs]

    def step_all(self, count: int) -> tuple[bytes, bytes]:
        """Advance env 0 to `count` - 1 by a step; return their (episode, step) columns as bytes: int64, int32."""
        if self._begun < count:
            envs = np.arange(count)
            self._grow(envs)
            unseen = envs[self._episode[:count] == NO_EPISODE]
            if unseen.size:
                self.reset_many(unseen)
            self._begun = count
        steps = self._step[:count]
        steps += 1
        return self._episode[:count].tobytes(), steps.tobytes()

    def _grow(self, envs: NDArray[np.int64]) -> None:
        size = max(int(envs.max(initial=-1)) + 1, max(self._single, default=-1) + 1)
        missing = size - len(self._episode)
        episodes, steps = self._episode, self._step
        if missing > 0:
            episodes = np.concatenate([episodes, np.full(missing, NO_EPISODE, np.int64)])
            steps = np.concatenate([steps, np.zeros(missing, np.int32)])
        for env, (episode, step) in self._single.items():
            episodes[env], steps[env] = episode, step
        # in one statement: an interrupt comes before all of it, or after
        self._episode, self._step, self._single, self._vector = episodes, steps, {}, True

"""Counts the episodes of each environment of a stream, and the steps of each episode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

NO_EPISODE = -1
_ONE = np.int32(1)

Envs = slice | NDArray[np.int64]
Flags = NDArray[np.bool_]


class EnvPositions:
    """Episode and step per env. Single steps use a dict; the first vector call moves everything into arrays.

    An episode begins with a reset, its step 0, or with the first row of an env that has no open one: the very first, or
    the one behind a row that ended an episode. An episode that began without a reset has no step 0.

    Args:
        unannounced: is called with an env whose step came behind the end of its episode.
    """

    def __init__(self, unannounced: Callable[[int], None] | None = None) -> None:
        self._unannounced = unannounced or _ignored
        self._single: dict[int, list[Any]] = {}  # env -> [episode, step, whether the episode is over]
        self._episode: NDArray[np.int64] = np.empty(0, np.int64)
        self._step: NDArray[np.int32] = np.empty(0, np.int32)
        self._over: Flags = np.empty(0, np.bool_)
        self._all_open = True  # no env of the arrays is over
        self._vector = False
        #: episodes begun, over all envs
        self.episodes = 0

    def reset(self, env: int) -> tuple[int, int]:
        """Begin an episode of `env`; return (episode, 0)."""
        if self._vector:
            episodes, _ = self.reset_many(np.array([env]))
            return int(episodes[0]), 0
        state = self._single.setdefault(env, [NO_EPISODE, 0, False])
        state[0] += 1
        state[1] = 0
        state[2] = False
        self.episodes += 1
        return state[0], 0

    def number(self, env: int, first: int) -> None:
        """Give the next episode of `env` at least this number; nothing while one is open that has a higher one."""
        if self._vector:
            self._grow(np.array([env]))
            if self._episode[env] < first - 1:
                self._episode[env], self._over[env], self._all_open = first - 1, True, False
            return
        state = self._single.setdefault(env, [NO_EPISODE, 0, True])
        if state[0] < first - 1:
            state[0], state[2] = first - 1, True

    def step(self, env: int, *, ends: bool = False) -> tuple[int, int]:
        """Advance `env` by a step, which may end the episode; return (episode, step)."""
        if self._vector:
            return self._step_in_arrays(env, ends)
        state = self._single.get(env)
        if state is None or state[2]:
            if state is not None:
                self._unannounced(env)
            self.reset(env)
            state = self._single[env]
        state[1] += 1
        if ends:
            state[2] = True
        return state[0], state[1]

    def reset_many(self, envs: Envs) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Begin an episode of each of `envs`; see `advance`."""
        return self.advance(envs, resets=np.ones(_size(envs), np.bool_))

    def advance(
        self, envs: Envs, *, resets: Flags | None = None, ends: Flags | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Advance n environments by a row each; return their (episode, step) columns, copies.

        Args:
            envs: distinct indices, or a slice with both bounds and no stride.
            resets: (n,) rows that are a reset; None = none.
            ends: (n,) rows that end their episode; None = none.
        """
        self._grow(envs)
        step, episode = self._step[envs] + _ONE, self._episode[envs]
        begins = resets if self._all_open else self._over[envs] if resets is None else self._over[envs] | resets
        if begins is not None:
            self._begin(envs, begins.nonzero()[0], resets, episode, step)
            self._over[envs] = False  # after it: `begins` may be a view of these
            self._all_open = not self._over.any()
        self._episode[envs], self._step[envs] = episode, step
        if ends is not None:
            self._over[envs] = ends
            self._all_open = False
        return episode.copy() if isinstance(envs, slice) else episode, step

    def _begin(
        self,
        envs: Envs,
        rows: NDArray[np.intp],
        resets: Flags | None,
        episode: NDArray[np.int64],
        step: NDArray[np.int32],
    ) -> None:
        """Begin an episode in some rows of these columns."""
        if not rows.size:
            return
        self.episodes += len(rows)
        episode[rows] += 1
        step[rows] = 1
        if resets is not None:
            step[resets] = 0
            rows = rows[step[rows] == 1]
        behind = rows[episode[rows] > 0]  # the first episode of an env is behind no end
        if behind.size:
            self._unannounced(int(behind[0]) + envs.start if isinstance(envs, slice) else int(envs[behind[0]]))

    def step_all(self, envs: slice, ends: Flags | None) -> tuple[bytes, bytes]:
        """Advance a slice of environments by a step; return (episode, step) as bytes: int64, int32. See `advance`."""
        if self._single or not self._all_open or ends is not None or len(self._over) < envs.stop:
            episode, step = self.advance(envs, ends=ends)
            return episode.tobytes(), step.tobytes()
        steps = self._step[envs]
        steps += 1
        return self._episode[envs].tobytes(), steps.tobytes()

    def episode_of(self, env: int) -> int:
        """Return the episode that `env` is in, or was last in; NO_EPISODE if it has no row."""
        if env in self._single:
            return int(self._single[env][0])
        return int(self._episode[env]) if 0 <= env < len(self._episode) else NO_EPISODE

    def has(self, env: int) -> bool:
        """Return whether there is a row of `env`."""
        if env in self._single:
            return bool(self._single[env][0] != NO_EPISODE)
        return env < len(self._episode) and bool(self._episode[env] != NO_EPISODE)

    def _step_in_arrays(self, env: int, ends: bool) -> tuple[int, int]:
        if env >= len(self._over) or self._over[env]:
            episodes, steps = self.advance(np.array([env]), ends=np.array([ends]))
            return int(episodes[0]), int(steps[0])
        self._step[env] += 1
        if ends:
            self._over[env], self._all_open = True, False
        return int(self._episode[env]), int(self._step[env])

    def _grow(self, envs: Envs) -> None:
        if isinstance(envs, slice) and envs.stop <= len(self._over):
            return
        highest = envs.stop - 1 if isinstance(envs, slice) else int(envs.max(initial=-1))
        missing = max(highest, max(self._single, default=-1)) + 1 - len(self._episode)
        episodes, steps, overs, all_open = self._episode, self._step, self._over, self._all_open
        if missing > 0:
            episodes = np.concatenate([episodes, np.full(missing, NO_EPISODE, np.int64)])
            steps = np.concatenate([steps, np.zeros(missing, np.int32)])
            overs = np.concatenate([overs, np.ones(missing, np.bool_)])
            all_open = False
        for env, (episode, step, over) in self._single.items():
            episodes[env], steps[env], overs[env] = episode, step, over
        # in one statement: an interrupt comes before all of it, or after
        self._episode, self._step, self._over, self._all_open = episodes, steps, overs, all_open
        self._single, self._vector = {}, True


def _size(envs: Envs) -> int:
    return envs.stop - envs.start if isinstance(envs, slice) else len(envs)


def _ignored(_env: int) -> None:
    """Tell nobody."""

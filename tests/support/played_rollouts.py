"""Environments as arrays: played by a script, T steps of N at a time, with a ledger of what happened in each."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runbus.recorder import ABSENT

#: of an environment at a step
FATES = ("on", "over", "cut", "both")
Step = tuple[Any, float, bool, bool, Any]
#: the first observation of each episode, and its steps
Ledger = list[list[tuple[Any, list[Step]]]]


class Played(NamedTuple):
    """A rollout, in every form in which a loop may have it."""

    observations: NDArray[np.float32]
    actions: NDArray[np.int64]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    next_observations: NDArray[np.float32]
    last: NDArray[np.float32]

    @property
    def facts(self) -> tuple[Any, ...]:
        """What `Rollouts.record` takes by position."""
        return self[:5]


class World:
    """N environments, each of which shows two numbers that no other moment has."""

    def __init__(self, count: int) -> None:
        self.ledger: Ledger = [[] for _ in range(count)]
        self._moment = 0
        self._shown = np.zeros((count, 2), np.float32)
        self.reset()

    def reset(self) -> None:
        """Begin anew, whatever runs."""
        for env in range(len(self.ledger)):
            self._begin(env)

    def play(self, script: list[list[str]]) -> Played:
        """Play T steps, a list of N fates each."""
        count, steps = len(self.ledger), len(script)
        played = Played(
            np.zeros((steps, count, 2), np.float32),
            np.arange(steps * count).reshape(steps, count) + self._moment,
            np.arange(steps * count).reshape(steps, count) / 7 + self._moment,
            np.zeros((steps, count), np.bool_),
            np.zeros((steps, count), np.bool_),
            np.zeros((steps, count, 2), np.float32),
            self._shown,
        )
        for step, fates in enumerate(script):
            played.observations[step] = self._shown
            for env, fate in enumerate(fates):
                over, cut = fate in ("over", "both"), fate in ("cut", "both")
                seen = self._observation()
                played.terminated[step, env], played.truncated[step, env] = over, cut
                played.next_observations[step, env] = self._shown[env] = seen
                row = (int(played.actions[step, env]), float(played.rewards[step, env]), over, cut, seen)
                self.ledger[env][-1][1].append(row)
                if over or cut:
                    self._begin(env)
        return played._replace(last=self._shown.copy())

    def _begin(self, env: int) -> None:
        self._shown[env] = first = self._observation()
        self.ledger[env].append((first, []))

    def _observation(self) -> NDArray[np.float32]:
        self._moment += 1
        return np.array([self._moment, -self._moment / 3], np.float32)


def without_last(ledger: Ledger) -> Ledger:
    """Return a ledger of environments that throw the last observations of their episodes away."""
    return [
        [
            (first, [(*step[:4], ABSENT if step[2] or step[3] else step[4]) for step in steps])
            for first, steps in episodes
        ]
        for episodes in ledger
    ]


def acted(ledger: Ledger) -> Ledger:
    """Return a ledger without episodes in which nobody acted: their reset comes with their first action."""
    return [[episode for episode in episodes if episode[1]] for episodes in ledger]

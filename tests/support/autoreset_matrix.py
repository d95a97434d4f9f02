"""Plays vector environments that keep a ledger of their own, and compares it with what `RecordSteps` recorded.

It runs on any version of Gymnasium that RunBus supports: `python -m tests.support.autoreset_matrix` plays every
combination of mode, vectorisation and space, and prints how many episodes were equal.
"""

from __future__ import annotations

import sys
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from runbus.gymnasium.vector import RecordSteps
from runbus.recorder import ABSENT, Recorder, RunBus, Subscription
from tests.support.recorded_rows import batches_of, rows_of

SPACES: dict[str, spaces.Space[Any]] = {
    "box": spaces.Box(-1, 1, (3,), np.float32),
    "scalar": spaces.Discrete(1000),
    "image": spaces.Box(0, 255, (4, 4, 3), np.uint8),
    "dict": spaces.Dict({"b": spaces.Box(-1, 1, (2,), np.float64), "a": spaces.Discrete(9)}),
    "tuple": spaces.Tuple((spaces.Box(-1, 1, (2,)), spaces.MultiBinary(3))),
    "twins": spaces.Tuple((spaces.Box(-1, 1, (3,)), spaces.Box(-1, 1, (3,)), spaces.Box(-1, 1, (3,)))),
    "text": spaces.Text(5),
    "mixed": spaces.Dict({"t": spaces.Text(5), "x": spaces.Box(-1, 1, (2,))}),
}
_ACTIONS = spaces.MultiDiscrete([5, 7])
_LONGEST = 6


class LedgerEnv(gymnasium.Env[Any, Any]):
    """Shows samples in episodes of 1 to 6 steps, and keeps all of it: `ledger` is a list of episodes."""

    def __init__(self, space: str, number: int) -> None:
        self.observation_space = SPACES[space]
        self.action_space = _ACTIONS
        self.ledger: list[dict[str, Any]] = []
        self._number = number

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        del options
        super().reset(seed=seed if seed is not None or self.ledger else self._number)
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        self._left = int(self.np_random.integers(1, _LONGEST + 1))
        first = self.observation_space.sample()
        self.ledger.append({"seed": seed, "first": first, "steps": []})
        return first, {"first": len(self.ledger)}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Return a sample; the last step of an episode terminates, truncates, or both."""
        self._left -= 1
        how = int(self.np_random.integers(3)) if self._left == 0 else -1
        terminated, truncated = how in (0, 2), how in (1, 2)
        seen, reward = self.observation_space.sample(), float(self.np_random.normal())
        self.ledger[-1]["steps"].append((np.array(action), reward, terminated, truncated, seen))
        return seen, reward, terminated, truncated, {"left": self._left}


class Play(NamedTuple):
    """One combination, and how it is played."""

    mode: AutoresetMode
    vectorise: str
    space: str
    envs: int = 3
    steps: int = 40
    masked: bool = True
    copy: bool = True


def made(play: Play) -> Any:
    """Return the vector environment."""
    made_by = [partial(LedgerEnv, play.space, number) for number in range(play.envs)]
    if play.vectorise == "sync":
        return SyncVectorEnv(made_by, copy=play.copy, autoreset_mode=play.mode)
    shared = play.space not in ("text", "mixed")
    return AsyncVectorEnv(made_by, copy=play.copy, autoreset_mode=play.mode, shared_memory=shared, context="fork")


def played(play: Play, recorder: Recorder, seed: int = 0) -> list[list[dict[str, Any]]]:
    """Play to the end, with early and masked resets; return each environment's ledger."""
    random = np.random.default_rng(seed)
    inner = made(play)
    envs = RecordSteps(inner, recorder, record_info=True)
    envs.action_space.seed(seed)
    envs.reset(seed=[None, 11, None][seed % 3])
    for _ in range(play.steps):
        _, _, terminated, truncated, _ = envs.step(envs.action_space.sample())
        mask = np.zeros(play.envs, np.bool_)
        if play.mode is AutoresetMode.DISABLED:
            mask = np.asarray(terminated) | np.asarray(truncated)
        if play.masked and random.random() < 0.15:
            mask = mask | (random.random(play.envs) < 0.5)
        if mask.any():
            envs.reset(seed=[None, 5][int(random.integers(2))], options={"reset_mask": mask})
        elif play.masked and random.random() < 0.05:
            envs.reset(seed=[7] * play.envs)
    ledgers = list(inner.get_attr("ledger"))
    envs.close()
    return ledgers


def recorded(subscription: Subscription, envs: int) -> list[list[dict[str, Any]]]:
    """Return what was recorded, in the form of the ledgers."""
    found: list[list[dict[str, Any]]] = [[] for _ in range(envs)]
    for row in chain.from_iterable(map(rows_of, batches_of(subscription.get_many(100_000)))):
        mine, shown = found[row.env], None if row.observation is ABSENT else row.observation
        if not row.step:
            assert row.episode == len(mine)
            mine.append({"seed": row.seed, "first": shown, "steps": []})
            continue
        steps = mine[row.episode]["steps"]
        assert row.step == len(steps) + 1
        steps.append((row.action, row.reward, *row.over, shown))
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal bit for bit: dtypes, keys and lengths included."""
    if isinstance(one, dict):
        return isinstance(other, dict) and set(one) == set(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (np.ndarray, np.generic)):
        mine, theirs = np.asarray(one), np.asarray(other)
        return mine.dtype == theirs.dtype and mine.shape == theirs.shape and mine.tobytes() == theirs.tobytes()
    return type(one) is type(other) and bool(one == other)


def check(play: Play, seed: int = 0) -> int:
    """Play and compare; return how many episodes there were. Raises AssertionError where they differ."""
    bus = RunBus()
    subscription = bus.subscribe("matrix", max_events=1_000_000, max_bytes=1_000_000_000)
    recorder = Recorder("matrix", bus=bus, kafka=False, observations="all")
    ledgers = played(play, recorder, seed)
    recorder.close()
    stats = recorder.stats()
    assert (stats["dropped"], stats["complaints"]) == (0, {}), stats
    for number, (ledger, found) in enumerate(zip(ledgers, recorded(subscription, play.envs), strict=True)):
        assert len(ledger) == len(found), f"{play}: env {number}: {len(ledger)} episodes, {len(found)} recorded"
        for index, (mine, theirs) in enumerate(zip(ledger, found, strict=True)):
            assert same(mine, theirs), f"{play}: env {number} episode {index}: {mine} was recorded as {theirs}"
    return sum(map(len, ledgers))


def combinations(*names: str) -> list[Play]:
    """Return every mode and vectorisation, for these spaces; all without a name."""
    return [
        Play(mode, vectorise, space, copy=copy)
        for mode in AutoresetMode
        for vectorise in ("sync", "async")
        for space in names or SPACES
        for copy in (True, False)
    ]


if __name__ == "__main__":
    total = sum(check(play, seed) for play in combinations() for seed in range(2))
    sys.stdout.write(f"gymnasium {gymnasium.__version__}: {total} episodes are equal\n")

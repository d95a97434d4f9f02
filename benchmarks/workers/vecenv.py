"""Steps a VecEnv that costs next to nothing, wrapped and bare, for `benchmarks/sb3_cost.py`; prints JSON.

    python benchmarks/workers/vecenv.py CALLS ROUNDS

Needs Stable-Baselines3. The broker is that of KAFKA_BOOTSTRAP_SERVERS.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from runbus.recorder import RunBus
from runbus.sb3 import RecordVecEnv

WARM_UP = 20


class NoOp(VecEnv):  # type: ignore[misc] # the package is not there where types are checked
    """Eight float32 observations, two actions, never over."""

    def __init__(self, count: int) -> None:
        super().__init__(count, spaces.Box(-1, 1, (8,), np.float32), spaces.Discrete(2))
        self._result = np.zeros((count, 8), np.float32), np.ones(count, np.float32), np.zeros(count, np.bool_)

    def reset(self) -> Any:  # noqa: ANN401 - as VecEnv declares them
        """Return observations."""
        return self._result[0]

    def step_async(self, actions: Any) -> None:  # noqa: ANN401
        """Do nothing."""

    def step_wait(self) -> Any:  # noqa: ANN401
        """Return new infos, and what else is always the same."""
        return *self._result, [{} for _ in range(self.num_envs)]

    def close(self) -> None:
        """Do nothing."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:  # noqa: ANN401, ARG002
        """Return nothing for each."""
        return [None] * self.num_envs

    set_attr = env_method = env_is_wrapped = get_attr


def main(calls: int, rounds: int) -> None:
    """Measure the variants in turn."""
    made: dict[str, VecEnv] = {}
    for count in (64, 1024):
        made[f"bare-{count}"] = NoOp(count)
        made[f"vecmonitor-{count}"] = VecMonitor(NoOp(count))
        made[f"recorded-{count}"] = RecordVecEnv(NoOp(count), run="bench", agent=f"sb3-{count}", bus=RunBus())
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in made}
    for env in made.values():
        env.reset()
    for _ in range(rounds):
        for name, env in made.items():
            costs[name].append(_measured(env, calls))
    found = {}
    for name in made:
        bare = costs[f"bare-{name.split('-')[1]}"]
        found[f"{name}.loop"] = min(loop for loop, _ in costs[name]) - min(loop for loop, _ in bare)
        found[f"{name}.cpu"] = statistics.median(
            one - other for (_, one), (_, other) in zip(costs[name], bare, strict=True)
        )
    print(json.dumps(found))
    for env in made.values():
        env.close()


def _measured(env: VecEnv, calls: int) -> tuple[float, float]:
    """Return microseconds an env-step: of the loop, of the processor."""
    actions = np.zeros(env.num_envs, np.int64)
    for _ in range(WARM_UP):
        env.step(actions)
    _settle(env)
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(calls):
        env.step(actions)
    wall = time.perf_counter() - wall
    _settle(env)
    scale = 1e6 / (calls * env.num_envs)
    return wall * scale, (time.process_time() - cpu) * scale


def _settle(env: VecEnv) -> None:
    if isinstance(env, RecordVecEnv):
        env.recorder.flush(30)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

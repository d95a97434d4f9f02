"""Trains PPO with the real RLlib, in a trial of Tune, on environments that keep a ledger on disk.

`python -m tests.integration.rllib.training FOLDER`, with a Python that has RLlib; the broker is that of
KAFKA_BOOTSTRAP_SERVERS. Prints the id of the trial.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces


class Ledger(gymnasium.Env[Any, Any]):
    """Shows samples in episodes of 1 to 6 steps; each line of its file is what a call returned.

    The first one of a process breaks once: before its 40th step, and so before any other of its vector has stepped.
    """

    made: ClassVar[int] = 0

    def __init__(self, config: Mapping[str, str]) -> None:
        self.observation_space = spaces.Box(-1, 1, (3,), np.float32)
        self.action_space = spaces.Discrete(4)
        self._number = Ledger.made
        self._steps = 0
        Ledger.made += 1
        self._file = (Path(config["folder"]) / f"{os.getpid()}-{self._number}.jsonl").open("w", buffering=1)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        del options
        super().reset(seed=seed)
        self._left = int(self.np_random.integers(1, 7))
        seen = self._observation()
        self._write(None, 0.0, False, False, seen)
        return seen, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Return a sample; the last step of an episode terminates, or truncates."""
        self._steps += 1
        if self._number == 0 and self._steps == 40:
            raise RuntimeError("the arm fell off")
        self._left -= 1
        over = self._left == 0 and bool(self.np_random.integers(2))
        cut = self._left == 0 and not over
        seen, reward = self._observation(), float(self.np_random.normal())
        self._write(int(action), reward, over, cut, seen)
        return seen, reward, over, cut, {}

    def _observation(self) -> Any:
        return self.np_random.random(3, np.float32)

    def _write(self, action: int | None, reward: float, over: bool, cut: bool, seen: Any) -> None:
        self._file.write(json.dumps([action, reward, over, cut, seen.tolist()]) + "\n")


def main(folder: Path) -> None:
    """Train for two iterations, and evaluate after each."""
    import ray
    from ray import tune
    from ray.rllib.algorithms.ppo import PPOConfig

    from runbus.rllib import RecordRunners

    recording = RecordRunners(run="rllib", config={"who": "test"})
    config = (
        PPOConfig()
        .environment(Ledger, env_config={"folder": str(folder)})
        .env_runners(num_env_runners=1, num_envs_per_env_runner=2, rollout_fragment_length=40)
        .training(train_batch_size_per_learner=80, minibatch_size=40, num_epochs=1)
        .evaluation(evaluation_interval=1, evaluation_num_env_runners=1, evaluation_duration=4)
        .fault_tolerance(restart_failed_sub_environments=True)
        .callbacks(**recording.callbacks())
    )
    ray.init(num_cpus=4, include_dashboard=False, object_store_memory=150_000_000)
    run = tune.RunConfig(storage_path=str(folder / "tune"), stop={"training_iteration": 2}, verbose=0)
    found = tune.Tuner("PPO", param_space=config, run_config=run).fit()
    ray.shutdown()
    assert not found.errors, found.errors
    print(found[0].metrics["trial_id"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Measures what `step_vector` costs for one step of one environment, in microseconds, and the longest calls of `step`.

Method: one process, no environment, a real broker that takes everything. Calls of `step_vector` with values that are
made before the clock starts, `--calls` at a time, the variants in turn (A B C ... A B C ...), `--rounds` times; after
each, what is left to background threads is waited for. The variants `rollout` record as many steps by `runbus.rollout`,
30 a call; `rollout-observed` has what 64 of 4,096 environments saw and did. Two figures, each divided by calls x
environments:

* loop: wall time. What the agent waits; the courier's thread shares the interpreter lock, so what it takes is in it.
* cpu: processor time of the whole process, background work included.

Variants: observations of eight float32 as one array, and as a dict of three arrays (4 float32, 3 float32, 1 int64), of
1, 64 and 1,024 environments. Printed are medians over the rounds, the least of a few, and the ratio of dict to array.
`step p50` and `step p99.9` are of single calls of `Recorder.step` with eight float32, in the same process. Targets: 64
environments <= 0.15 us, 1,024 <= 0.03 us for arrays and <= 0.1 us for dicts; p99.9 of a step <= 1 ms.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.recorder import Recorder, RunBus
from runbus.rollout import Rollouts
from setup.engines import broker

WARM_UP = 30
T = 30


@dataclass
class Variant:
    """One form of observations for `envs` environments, and what its rounds took: (loop, cpu) microseconds."""

    name: str
    envs: int
    recorder: Recorder
    observations: Any
    costs: list[tuple[float, float]] = field(default_factory=list)

    def run(self, calls: int) -> None:
        """Record some calls."""
        step, observations, envs = self.recorder.step_vector, self.observations, self.envs
        actions, rewards, over = np.zeros(envs, np.int64), np.ones(envs), np.zeros(envs, bool)
        for _ in range(calls):
            step(actions, rewards, over, over, observations)

    def measure(self, calls: int) -> None:
        """Note one round."""
        self.run(WARM_UP)
        self.recorder.flush(30)
        cpu, wall = time.process_time(), time.perf_counter()
        self.run(calls)
        wall = time.perf_counter() - wall
        self.recorder.flush(30)
        steps = calls * self.envs
        self.costs.append((wall / steps * 1e6, (time.process_time() - cpu) / steps * 1e6))


class RolloutVariant(Variant):
    """The same steps, handed over T at a time."""

    observe: slice | None = None

    def run(self, calls: int) -> None:
        """Record some steps."""
        rollouts = Rollouts(self.recorder, envs=self.envs, observe=self.observe)
        seen = np.ones((T, self.envs, 8), np.float32)
        actions, rewards = np.zeros((T, self.envs), np.int64), np.ones((T, self.envs))
        over = np.zeros((T, self.envs), bool)
        for _ in range(calls // T):
            rollouts.record(seen, actions, rewards, over, over, last=seen[0])
        rollouts.close()


class ObservedVariant(RolloutVariant):
    """Of which 64 are observed."""

    observe = slice(0, 64)


def array(envs: int) -> Any:  # noqa: ANN401 - what an environment returns
    """Return observations as one array."""
    return np.ones((envs, 8), np.float32)


def parts(envs: int) -> Any:  # noqa: ANN401 - as above
    """Return them as a dict of three arrays, as a Dict space has it."""
    return {
        "position": np.ones((envs, 4), np.float32),
        "velocity": np.ones((envs, 3), np.float32),
        "lives": np.ones(envs, np.int64),
    }


def variants(settings: KafkaSettings, stack: ExitStack) -> list[Variant]:
    """Return every form with every number of environments, each with a recorder of its own."""
    made = []
    forms: dict[str, Callable[[int], Any]] = {"array": array, "dict": parts}
    for form, make in forms.items():
        for envs in (1, 64, 1024):
            name = f"{form}-{envs}"
            recorder = stack.enter_context(Recorder("bench", name, bus=RunBus(), settings=settings))
            made.append(Variant(name, envs, recorder, make(envs)))
    for name, kind, envs in (
        ("rollout-64", RolloutVariant, 64),
        ("rollout-1024", RolloutVariant, 1024),
        ("rollout-observed-4096", ObservedVariant, 4096),
    ):
        recorder = stack.enter_context(Recorder("bench", name, bus=RunBus(), settings=settings))
        made.append(kind(name, envs, recorder, None))
    return made


def single_steps(settings: KafkaSettings, count: int) -> dict[str, float]:
    """Return percentiles of what single calls of `step` take, microseconds."""
    observation, took = np.ones(8, np.float32), np.empty(count, np.int64)
    clock = time.perf_counter_ns
    with Recorder("bench", "single", bus=RunBus(), settings=settings) as recorder:
        for i in range(count):
            began = clock()
            recorder.step(1, 1.0, False, False, observation)
            took[i] = clock() - began
    return {f"step p{q:g}": float(np.percentile(took, q) / 1000) for q in (50, 99.9)}


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=300, help="calls of a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=300_000, help="single steps for the percentiles")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.getLogger("runbus").setLevel(logging.CRITICAL)
    os.environ["RUNBUS_RECORDER_FLUSH_SECONDS"] = "0"
    with ExitStack() as stack:
        settings = stack.enter_context(broker(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        apply_topics(settings)
        made = variants(settings, stack)
        for _ in range(arguments.rounds):
            for variant in made:
                variant.measure(arguments.calls)
        found = {f"{v.name}.loop": statistics.median(loop for loop, _ in v.costs) for v in made}
        found |= {f"{v.name}.least": min(loop for loop, _ in v.costs) for v in made}
        found |= {f"{v.name}.cpu": statistics.median(cpu for _, cpu in v.costs) for v in made}
        found["dict-1024/array-1024"] = found["dict-1024.loop"] / found["array-1024.loop"]
        found |= single_steps(settings, arguments.steps)
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"us a step of one environment (median of {arguments.rounds} rounds of {arguments.calls} calls)")
    for name, value in found.items():
        print(f"  {name:27s} {value:10.3f}")


if __name__ == "__main__":
    main()

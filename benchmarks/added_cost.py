"""Measures what recording adds to one step of a training loop, in microseconds.

Method: one process, one environment, the same loop `env.step(action)` in chunks of `--steps`, the variants in turn
(A B C ... A B C ...), `--rounds` times, so that other load on the machine slows all of them. Before a chunk is timed it
has warmed up; after it, what it left to background threads is waited for. Two figures per chunk:

* loop: wall time of the loop / steps. What the agent waits. The courier's thread shares the interpreter lock, so what
  it takes from the loop is in it.
* cpu: processor time of the whole process / steps, background work included (encoding, compression, sending).

The added cost of a variant is its figure less that of `bare` in the same round; printed are medians over the rounds.

Before that, in the same process and without a broker: what one call of a vector environment costs an env-step, for
arrays and for dicts of three arrays (`vector.64.array`, `vector.1024.dict`, ...); least of the rounds. Targets: 64 envs
<= 0.15 us, 1,024 envs <= 0.03 us for arrays and <= 0.1 us for dicts.

Variants: `bare` (no wrapper), `recorded` (RecordSteps, the full transition, to a real broker), `journal-batch` and
`journal-step` (the same with a journal in a temporary folder), `broker-down` (RecordSteps, no broker answers),
`trackio` (`trackio.log` of one number a step, offline into a temporary folder; skipped if it is not installed).
Targets: recorded <= 4 us a step, recorded / trackio <= 0.6, broker-down / recorded about 1; `journal-batch - recorded`,
the median of the rounds, <= 0.3 us, `journal-step - recorded` <= 1.5 us; the slowest step in a thousand, `p99.9`,
<= 1 ms.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import gymnasium
import numpy as np

from runbus.config.catalogue import JournalMode
from runbus.gymnasium import RecordSteps
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.local.ports import free_port
from runbus.recorder import Recorder, RunBus
from setup.engines import broker

WARM_UP = 300


class NoOp(gymnasium.Env[Any, Any]):
    """An environment that costs next to nothing: four float32 observations, two actions, never over."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(-1, 1, (4,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self._observation = np.zeros(4, np.float32)

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
        """Return the observation."""
        return self._observation, {}

    def step(self, _action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """Return the observation again."""
        return self._observation, 1.0, False, False, {}


@dataclass(frozen=True)
class Variant:
    """One way to run the loop: its environment, what is called after each step, how to wait for its threads."""

    name: str
    env: gymnasium.Env[Any, Any]
    after_step: Callable[[float], None] | None = None
    settle: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Cost:
    """Microseconds per step."""

    loop: float
    cpu: float


def loop(variant: Variant, actions: list[Any]) -> None:
    """Step through `actions`, with a reset after each episode."""
    env, after_step = variant.env, variant.after_step
    env.reset(seed=1)
    step = env.step
    for action in actions:
        _, reward, terminated, truncated, _ = step(action)
        if after_step is not None:
            after_step(float(reward))
        if terminated or truncated:
            env.reset()


def measure(variant: Variant, actions: list[Any]) -> Cost:
    """Run one chunk."""
    loop(variant, actions[:WARM_UP])
    variant.settle()
    cpu, wall = time.process_time(), time.perf_counter()
    loop(variant, actions)
    wall = time.perf_counter() - wall
    variant.settle()
    return Cost(wall / len(actions) * 1e6, (time.process_time() - cpu) / len(actions) * 1e6)


def compare(variants: list[Variant], actions: list[Any], rounds: int) -> dict[str, list[Cost]]:
    """Return the costs of each round, the variants in turn."""
    costs: dict[str, list[Cost]] = {variant.name: [] for variant in variants}
    for _ in range(rounds):
        for variant in variants:
            costs[variant.name].append(measure(variant, actions))
    return costs


def slowest(variant: Variant, actions: list[Any]) -> float:
    """Return what the slowest step in a thousand takes, in microseconds."""
    step, now = variant.env.step, time.perf_counter_ns
    variant.env.reset(seed=1)
    took = np.empty(len(actions))
    for i, action in enumerate(actions):
        begin = now()
        _, _, terminated, truncated, _ = step(action)
        took[i] = now() - begin
        if terminated or truncated:
            variant.env.reset()
    variant.settle()
    return float(np.percentile(took, 99.9) / 1000)


def summary(costs: dict[str, list[Cost]]) -> dict[str, float]:
    """Return medians of the added cost per variant, and the ratios."""
    found: dict[str, float] = {"bare.loop": statistics.median(c.loop for c in costs["bare"])}
    for name, own in costs.items():
        if name != "bare":
            pairs = list(zip(own, costs["bare"], strict=True))
            found[f"{name}.loop"] = statistics.median(c.loop - b.loop for c, b in pairs)
            found[f"{name}.cpu"] = statistics.median(c.cpu - b.cpu for c, b in pairs)
    for other, base in (("recorded", "trackio"), ("broker-down", "recorded")):
        if other in costs and base in costs:
            found[f"{other}/{base}"] = found[f"{other}.loop"] / found[f"{base}.loop"]
    for name in ("journal-batch", "journal-step"):
        pairs = list(zip(costs[name], costs["recorded"], strict=True))
        found[f"{name} - recorded.loop"] = statistics.median(c.loop - r.loop for c, r in pairs)
        found[f"{name} - recorded.cpu"] = statistics.median(c.cpu - r.cpu for c, r in pairs)
    return {name: round(value, 3) for name, value in found.items()}


def recorded(name: str, env: gymnasium.Env[Any, Any], settings: KafkaSettings, wait: float) -> Variant:
    """Return the loop with RecordSteps; `wait` seconds at most for its deliveries."""
    wrapped = RecordSteps(env, run=f"bench-{name}", bus=RunBus(), settings=settings)
    return Variant(name, wrapped, settle=lambda: wrapped.recorder.flush(wait))


def journaled(mode: JournalMode, env: gymnasium.Env[Any, Any], settings: KafkaSettings, folder: Path) -> Variant:
    """Return the loop with RecordSteps and a journal."""
    name = f"journal-{mode}"
    recorder = Recorder(f"bench-{name}", bus=RunBus(), settings=settings, journal=folder, journal_mode=mode)
    wrapped = RecordSteps(env, recorder)
    return Variant(name, wrapped, settle=lambda: recorder.flush(30))


def trackio_variant(env: gymnasium.Env[Any, Any], stack: ExitStack) -> Variant | None:
    """Return the loop with one trackio.log a step, or None if trackio is not installed."""
    os.environ["TRACKIO_DIR"] = stack.enter_context(tempfile.TemporaryDirectory())
    os.environ |= {"HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    try:
        import trackio
    except ImportError:
        return None
    with redirect_stdout(sys.stderr):
        trackio.init(project="bench", embed=False, auto_log_gpu=False, auto_log_cpu=False)
    stack.callback(trackio.finish)
    return Variant("trackio", env, lambda reward: trackio.log({"reward": reward}), lambda: time.sleep(1.5))


def run(make: Callable[[], gymnasium.Env[Any, Any]], steps: int, rounds: int) -> dict[str, float]:
    """Compare all variants on one kind of environment."""
    with ExitStack() as stack:
        settings = stack.enter_context(broker(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        apply_topics(settings)
        journals = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        down = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}")
        up = recorded("recorded", make(), settings, 30)
        modes = [journaled(mode, make(), settings, journals) for mode in get_args(JournalMode)]
        variants = [Variant("bare", make()), up, *modes, recorded("broker-down", make(), down, 0.2)]
        with_trackio = trackio_variant(make(), stack)
        variants += [with_trackio] if with_trackio else []
        env = make()
        env.action_space.seed(1)
        actions = [env.action_space.sample() for _ in range(steps)]
        for variant in variants[1:5]:
            stack.callback(variant.env.close)
        found = summary(compare(variants, actions, rounds))
        for variant in variants[:4]:
            found[f"{variant.name}.p99.9"] = round(min(slowest(variant, actions) for _ in range(rounds)), 1)
        return found


def vector_costs(calls: int, rounds: int) -> dict[str, float]:
    """Return microseconds an env-step of `Recorder.step_vector`, by number of environments and kind of observation."""
    found: dict[str, float] = {}
    for count in (64, 1024):
        rows = np.zeros((count, 4), np.float32)
        parts = {"a": rows, "b": np.zeros((count, 2)), "c": np.zeros(count, np.int64)}
        for kind, shown in {"array": rows, "dict": parts}.items():
            found[f"vector.{count}.{kind}"] = round(min(_vector_cost(count, shown, calls) for _ in range(rounds)), 4)
    return found


def _vector_cost(count: int, shown: Any, calls: int) -> float:  # noqa: ANN401 - an array or a dict of them
    actions, rewards, flags = np.zeros(count, np.int64), np.zeros(count), np.zeros(count, bool)
    recorder = Recorder("bench-vector", bus=RunBus(), kafka=False)
    recorder.reset_vector(shown)
    begin = time.perf_counter()
    for _ in range(calls):
        recorder.step_vector(actions, rewards, flags, flags, shown)
    took = time.perf_counter() - begin
    recorder.close()
    return took / calls / count * 1e6


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20_000, help="steps of a chunk")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.getLogger("runbus").setLevel(logging.CRITICAL)
    os.environ["RUNBUS_RECORDER_FLUSH_SECONDS"] = "0"
    kinds: dict[str, Callable[[], gymnasium.Env[Any, Any]]] = {
        "no-op": NoOp,
        "CartPole-v1": lambda: gymnasium.make("CartPole-v1"),
    }
    results = {"Recorder.step_vector": vector_costs(1000, arguments.rounds)}
    results |= {name: run(make, arguments.steps, arguments.rounds) for name, make in kinds.items()}
    if arguments.json:
        print(json.dumps(results))
        return
    for name, result in results.items():
        print(f"{name} (us a step, added to bare; median of {arguments.rounds} rounds of {arguments.steps} steps)")
        for key, value in result.items():
            print(f"  {key:30s} {value:8.2f}")


if __name__ == "__main__":
    main()

"""Measures what a million metric values a second cost the loop that records steps.

Method: one process records single steps of a CartPole to a real broker in chunks of `--steps`, the variants in turn
(A B C ... A B C ...), `--rounds` times: `alone`; `process`, beside a learner in a process of its own that logs dicts of
1,000 names as often as makes `--rate` values a second (`Metrics.log`), to the same broker; `thread`, beside the same
learner in a thread of the loop's process, with which it shares the interpreter lock. Printed are microseconds a step,
medians over the rounds, the ratio of each to `alone` in the same round, and how many values a second the learners made.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event as ProcessEvent
from pathlib import Path

import gymnasium

from runbus.gymnasium import RecordSteps
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.recorder import Metrics, RunBus
from setup.engines import broker

NAMES = 1_000
VALUES = {f"train/name-{number}": float(number) for number in range(NAMES)}
Stop = threading.Event | ProcessEvent


def learn(settings: KafkaSettings, rate: float, ready: Stop, stop: Stop, made: list[float]) -> None:
    """Log until told to stop; append the values a second, of those that were not dropped."""
    source = Metrics("bench-metrics", settings=settings, bus=RunBus())
    source.log(VALUES, step=0)
    source.flush(30)
    ready.set()
    begin, calls = time.monotonic(), 0
    while not stop.is_set():
        calls += 1
        source.log(VALUES, step=calls)
        stop.wait(max(0.0, begin + calls * NAMES / rate - time.monotonic()))
    seconds = time.monotonic() - begin
    source.flush(30)
    made.append((source.stats()["delivered"] - NAMES) / seconds)
    source.close()


@contextmanager
def learner(kind: str, settings: KafkaSettings, rate: float, made: list[float]) -> Iterator[None]:
    """Run a learner meanwhile, in a thread or in a process; none if it is `alone`."""
    if kind == "alone":
        yield
        return
    context = multiprocessing.get_context("spawn")
    if kind == "thread":
        ready, stop = threading.Event(), threading.Event()
        thread = threading.Thread(target=learn, args=(settings, rate, ready, stop, made))
        thread.start()
        ready.wait()
        yield
        stop.set()
        thread.join()
        return
    with context.Manager() as manager:
        began, end, rates = context.Event(), context.Event(), manager.list()
        process = context.Process(target=learn, args=(settings, rate, began, end, rates))
        process.start()
        began.wait()
        yield
        end.set()
        process.join()
        made.extend(rates)


def cost(env: RecordSteps, steps: int) -> float:
    """Return microseconds a step of one chunk."""
    env.reset(seed=1)
    begin = time.perf_counter()
    for number in range(steps):
        _, _, terminated, truncated, _ = env.step(number % 2)
        if terminated or truncated:
            env.reset()
    return (time.perf_counter() - begin) / steps * 1e6


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200_000, help="steps of a chunk")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=1_000_000, help="values a second")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.getLogger("runbus").setLevel(logging.CRITICAL)
    os.environ["RUNBUS_RECORDER_FLUSH_SECONDS"] = "0"
    costs: dict[str, list[float]] = {"alone": [], "process": [], "thread": []}
    made: dict[str, list[float]] = {kind: [] for kind in costs}
    with tempfile.TemporaryDirectory() as folder, broker(Path(folder)) as settings:
        apply_topics(settings)
        env = RecordSteps(gymnasium.make("CartPole-v1"), run="bench-steps", bus=RunBus(), settings=settings)
        cost(env, arguments.steps // 10)
        for _ in range(arguments.rounds):
            for kind, found in costs.items():
                with learner(kind, settings, arguments.rate, made[kind]):
                    found.append(cost(env, arguments.steps))
                env.recorder.flush(60)
        env.close()
        env.recorder.flush(60)
    result = {f"{kind}.us": statistics.median(found) for kind, found in costs.items()}
    for kind in ("process", "thread"):
        ratios = [a / b for a, b in zip(costs[kind], costs["alone"], strict=True)]
        result |= {f"{kind}/alone": statistics.median(ratios), f"{kind}.values_s": statistics.median(made[kind])}
    if arguments.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:20s} {value:14,.2f}")


if __name__ == "__main__":
    main()

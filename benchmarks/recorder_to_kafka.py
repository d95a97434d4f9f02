"""Measures steps a second from `Recorder` into a real broker, acknowledged, nothing dropped.

Method: record `--steps` steps as fast as the recorder takes them, close, and wait until Kafka has acknowledged every
one; steps / that whole time. The loop itself does nothing else, so the figure is the most that the recorder, the
courier and the broker can do together on this machine. `single` calls `step` per step; `vector-N` calls `step_vector`
for N environments at a time. Each shape runs `--rounds` times in turn; printed are medians. The queue is made large
enough to hold all steps, so that a drop cannot flatter the figure; drops are printed and must be 0. Also printed:
microseconds of processor time per step of this process (recording, encoding, compression, sending).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.recorder import Recorder, RunBus
from setup.engines import broker as own_broker

DRAIN_S = 120.0


@contextmanager
def broker(servers: str) -> Iterator[KafkaSettings]:
    """Use the broker at `servers`, or run one, with the topics."""
    if servers:
        settings = KafkaSettings(bootstrap_servers=servers)
        apply_topics(settings)
        yield settings
        return
    with tempfile.TemporaryDirectory() as folder, own_broker(Path(folder)) as settings:
        apply_topics(settings)
        yield settings


def single(recorder: Recorder, steps: int) -> None:
    """Record one step at a time, with CartPole's shapes."""
    observation, action = np.zeros(4, np.float32), np.int64(1)
    recorder.reset(observation, seed=1)
    for _ in range(steps - 1):
        recorder.step(action, 1.0, False, False, observation)


def vector(width: int) -> Callable[[Recorder, int], None]:
    """Return the loop that records `width` environments a call."""

    def loop(recorder: Recorder, steps: int) -> None:
        observations, actions = np.zeros((width, 4), np.float32), np.ones(width, np.int64)
        rewards, flags = np.ones(width), np.zeros(width, bool)
        for _ in range(steps // width):
            recorder.step_vector(actions, rewards, flags, flags, observations)

    return loop


def measure(loop: Callable[[Recorder, int], None], steps: int, settings: KafkaSettings) -> dict[str, float]:
    """Record `steps` steps and wait for the broker."""
    recorder = Recorder("bench", bus=RunBus(), settings=settings)
    cpu, wall = time.process_time(), time.perf_counter()
    with recorder:
        loop(recorder, steps)
    recorded = time.perf_counter() - wall
    delivered = recorder.flush(DRAIN_S)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    stats = recorder.stats()
    assert delivered, f"not delivered within {DRAIN_S} s"
    count = int(str(stats["delivered"]))
    return {
        "steps_per_s": count / wall,
        "recorded_per_s": count / recorded,
        "cpu_us": cpu / count * 1e6,
        "dropped": float(str(stats["dropped"])),
    }


def main() -> None:
    """Run every shape in turn and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bootstrap-servers", default="", help="a running broker; default: one of its own")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.getLogger("runbus").setLevel(logging.CRITICAL)
    os.environ["RUNBUS_RECORDER_QUEUE_MB"] = "1024"
    shapes = {"single": single, "vector-8": vector(8), "vector-64": vector(64), "vector-512": vector(512)}
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in shapes}
    with broker(arguments.bootstrap_servers) as settings:
        for _ in range(arguments.rounds):
            for name, loop in shapes.items():
                rounds[name].append(measure(loop, arguments.steps, settings))
    results = {
        name: {key: round(statistics.median(one[key] for one in found), 3) for key in found[0]}
        for name, found in rounds.items()
    }
    if arguments.json:
        print(json.dumps(results))
        return
    print(f"{'':12s} {'acknowledged/s':>16s} {'recorded/s':>14s} {'cpu us/step':>12s} {'dropped':>8s}")
    for name, r in results.items():
        print(
            f"{name:12s} {r['steps_per_s']:16,.0f} {r['recorded_per_s']:14,.0f} {r['cpu_us']:12.2f} {r['dropped']:8.0f}"
        )


if __name__ == "__main__":
    main()

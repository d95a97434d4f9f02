"""Measures steps a second from agents to rows, all on this machine: agents, broker, sink, ClickHouse's engine.

This is the durable path; the stream apps do not run.

Method: an own stack in a temporary folder; the agents' processes wait for a common start, record `STEPS` of the shape
(times `--scale`) between them as fast as they can, and end. The clock runs from the common start until ClickHouse
holds every step (asked every 50 ms); the figure is steps / that time, and the audit must find nothing missing, doubled
or dropped. Shapes, in turn, each `--rounds` times, medians printed; one round of each before them is not counted,
because the broker's Java compiles itself and ClickHouse allocates its memory during it (it is printed):

- `vector`: `step_vector` with 64 environments of CartPole's shapes, arrays made beforehand; 4 processes.
- `single`: `RecordSteps` around an environment that does nothing; 4 processes. What RunBus itself can carry.
- `cartpole`: `RecordSteps` around CartPole-v1 with actions drawn beforehand; 4 processes. Most of the processor time
  is the environment's own.

Also printed: processor time a step of each process; an agent's counts from the common start, its environment and its
loop included.
The recorder's queue blocks when it is full (RUNBUS_RECORDER_POLICY=block), so that no drop flatters a figure.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from runbus.audit.stream_audit import audit
from runbus.clickhouse.client import connect
from runbus.clickhouse.installation import Installation
from runbus.gymnasium import RecordSteps
from runbus.kafka.settings import KafkaSettings
from runbus.local.apps import SINK, prepare, sources, wait_for_apps
from runbus.local.options import StackOptions
from runbus.local.stack import Endpoints, Plan, Stack
from runbus.recorder import Recorder
from runbus.schemas.registry import codec
from runbus.sink import SinkSettings
from setup.processes import cpu_seconds

ENVS = 64
AGENTS = {"vector": 4, "single": 4, "cartpole": 4}
STEPS = {"vector": 8_000_000, "single": 3_000_000, "cartpole": 1_500_000}  # 10 to 20 s: longer than the last flush
DEADLINE_S = 300.0


class NoOp(gymnasium.Env[np.ndarray[Any, Any], np.int64]):
    """CartPole's spaces, no physics, an episode of 200 steps."""

    observation_space = gymnasium.spaces.Box(-1, 1, (4,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self) -> None:
        self._observation = np.zeros(4, np.float32)
        self._step = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed, options=options)
        self._step = 0
        return self._observation, {}

    def step(self, action: np.int64) -> tuple[np.ndarray[Any, Any], float, bool, bool, dict[str, Any]]:
        """Do nothing."""
        del action
        self._step += 1
        return self._observation, 1.0, False, self._step == 200, {}


@dataclass(frozen=True, slots=True)
class Job:
    """The work of one agent process."""

    shape: str
    run: str
    agent: str
    steps: int
    settings: KafkaSettings


@dataclass(frozen=True, slots=True)
class Result:
    """One round: all rows (resets included), seconds until all were stored, and until all were recorded."""

    shape: str
    rows: int
    seconds: float
    recorded_seconds: float
    steps_per_second: float
    cpu_us_per_step: dict[str, float]


def work(job: Job, start: Barrier, produced: Queue[tuple[int, float]]) -> None:
    """Record and report how many rows and seconds of processor time; runs in a process of its own."""
    recorder = Recorder(job.run, job.agent, settings=job.settings)
    start.wait()
    began = time.process_time()
    if job.shape == "vector":
        _vector(recorder, job.steps)
    else:
        env = NoOp() if job.shape == "single" else gymnasium.make("CartPole-v1")
        _single(RecordSteps(env, recorder), job.steps)
    recorder.close()
    recorder.flush(DEADLINE_S)
    produced.put((int(str(recorder.stats()["produced"])), time.process_time() - began))


def _vector(recorder: Recorder, steps: int) -> None:
    random = np.random.default_rng(0)
    observations = random.normal(size=(16, ENVS, 4)).astype(np.float32)
    actions = random.integers(0, 2, (16, ENVS))
    rewards, terminated, truncated = np.ones(ENVS), np.zeros(ENVS, bool), np.zeros(ENVS, bool)
    recorder.reset_vector(observations[0])
    for i in range(steps // ENVS - 1):
        recorder.step_vector(actions[i % 16], rewards, terminated, truncated, observations[i % 16])


def _single(env: RecordSteps, steps: int) -> None:
    actions = np.random.default_rng(0).integers(0, 2, 1024)
    env.reset(seed=0)
    for i in range(steps):
        _, _, terminated, truncated, _ = env.step(actions[i % 1024])
        if terminated or truncated:
            env.reset()


def cpu_of(stack: Stack) -> dict[str, float]:
    """Return the processor time so far of each process of the stack."""
    return {name: cpu_seconds(process.pid) for name, process in stack.supervisor.processes().items()}


def one_round(stack: Stack, endpoints: Endpoints, shape: str, scale: float, number: int) -> Result:
    """Run all agents of a shape and wait until the last row is stored."""
    cpu = cpu_of(stack)
    found = sources(endpoints)
    sink = SinkSettings.load(found)
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(AGENTS[shape] + 1)
    run, each = f"bench-{shape}-{number}", int(STEPS[shape] * scale) // AGENTS[shape]
    jobs = [Job(shape, run, f"agent-{i}", each, sink.kafka) for i in range(AGENTS[shape])]
    produced: Queue[tuple[int, float]] = context.Queue()
    processes = [context.Process(target=work, args=(job, start, produced)) for job in jobs]
    for process in processes:
        process.start()
    start.wait()
    began = time.monotonic()
    counts, agents = zip(*(produced.get(timeout=DEADLINE_S) for _ in processes), strict=True)
    rows = sum(counts)
    recorded = time.monotonic() - began
    _wait_stored(sink, run, rows, began + DEADLINE_S)
    seconds = time.monotonic() - began
    for process in processes:
        process.join(DEADLINE_S)
    spent = {name: (after - cpu[name]) * 1e6 / rows for name, after in cpu_of(stack).items()}
    spent["agents"] = sum(agents) * 1e6 / rows
    result = audit(Installation(sink.kafka, sink.clickhouse, codec(found), sink.group), run)
    if not result.sound or result.total.dropped:
        sys.exit(f"not sound: {result.total}")
    return Result(shape, result.total.stored, seconds, recorded, result.total.stored / seconds, spent)


def _wait_stored(sink: SinkSettings, run: str, rows: int, deadline: float) -> None:
    client = connect(sink.clickhouse)
    try:
        while True:
            counted = client.query("SELECT count() FROM steps WHERE run_id = {run:String}", parameters={"run": run})
            stored = int(counted.result_rows[0][0])
            if stored >= rows:
                return
            if time.monotonic() > deadline:
                sys.exit(f"only {stored:,} of {rows:,} steps were stored in time")
            time.sleep(0.05)
    finally:
        client.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="of the steps of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shapes", nargs="+", choices=list(AGENTS), default=list(AGENTS))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    os.environ["RUNBUS_RECORDER_POLICY"] = "block"
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), StackOptions(tied=True))
        began = datetime.now(UTC)
        endpoints = stack.up(Plan([SINK], prepare))
        try:
            wait_for_apps(endpoints, began, [SINK])
            for number in range(args.rounds + 1):
                for shape in args.shapes:
                    result = one_round(stack, endpoints, shape, args.scale, number)
                    if number:
                        results.append(result)
                    if not args.json:
                        spent = "  ".join(f"{k} {v:.2f}" for k, v in result.cpu_us_per_step.items())
                        note = "" if number else "  (warming up, not counted)"
                        print(
                            f"{shape:9} {result.steps_per_second:>10,.0f} steps/s  CPU us/step: {spent}{note}",
                            flush=True,
                        )
        finally:
            stack.down()
    medians = {s: statistics.median(r.steps_per_second for r in results if r.shape == s) for s in args.shapes}
    if args.json:
        print(json.dumps({"medians": medians, "rounds": [asdict(r) for r in results]}))
        return
    for shape, median in medians.items():
        print(f"{shape:9} median {median:>10,.0f} steps/s with {AGENTS[shape]} agent processes")


if __name__ == "__main__":
    main()

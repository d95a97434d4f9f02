"""Measures an outage of the broker that is longer than memory: what is lost, what the loop pays, what the disk holds.

Method: one agent with a journal takes `--rate` steps a second in one process, for `--before` seconds with a broker, for
`--seconds` seconds after the broker was killed by SIGKILL, and for `--before` seconds after it was started again; then
it waits until all is delivered. The loop's cost is the time inside of `Recorder.step`, median and 99.9th percentile of
each stretch. Memory is the process's resident set, disk the journal's folder, both looked at once a second. In the end
the log is read: every seq once. Targets: 0 lost, 0 twice, costs alike, disk within RUNBUS_RECORDER_JOURNAL_MB.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
import time
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runbus.config.sources import cache
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_log import open_topic
from runbus.kafka.topics import STEPS
from runbus.local.kafka import KafkaOptions, kafka_service
from runbus.local.ports import free_port
from runbus.local.process import start
from runbus.recorder import Recorder, RunBus
from runbus.schemas.batch import decode_header
from runbus.schemas.codec import Codec

_CHUNK = 100  # steps between two looks at the clock


@dataclass(frozen=True)
class Stretch:
    """What a stretch of the run looked like: steps, microseconds a step, MiB at most."""

    steps: int
    median_us: float
    p999_us: float
    memory_mb: float
    disk_mb: float


class Agent:
    """Records at a rate, and looks at what that costs."""

    def __init__(self, recorder: Recorder, folder: Path, rate: float) -> None:
        self._recorder = recorder
        self._folder = folder
        self._pause = _CHUNK / rate
        self._observation = np.zeros(4, np.float32)
        self.recorded = 0

    def run(self, seconds: float) -> Stretch:
        """Record for so many seconds."""
        step, now = self._recorder.step, time.perf_counter_ns
        took = array("I")  # nanoseconds: four bytes a step
        memory = disk = 0.0
        begin = due = looked = time.monotonic()
        while time.monotonic() < begin + seconds:
            for _ in range(_CHUNK):
                before = now()
                step(1, 1.0, False, False, self._observation)
                took.append(min(now() - before, 2**32 - 1))
            self.recorded += _CHUNK
            if time.monotonic() > looked + 1:
                looked = time.monotonic()
                memory, disk = max(memory, self._memory()), max(disk, self._disk())
            due += self._pause
            time.sleep(max(0.0, due - time.monotonic()))
        cost = np.array(took) / 1000
        return Stretch(len(took), float(np.median(cost)), float(np.percentile(cost, 99.9)), memory, disk)

    @staticmethod
    def _memory() -> float:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def _disk(self) -> float:
        return sum(path.stat().st_size for path in self._folder.rglob("*.journal")) / 2**20


def in_log(settings: KafkaSettings) -> tuple[int, int]:
    """Return how many different steps the log has, and how many are there twice."""
    first: dict[int, int] = {}
    rows = 0
    with open_topic(settings, STEPS, "bench") as log:
        for message in log.records():
            writer, body = Codec().open(message.value(), "StepBatch")
            header = decode_header(body, writer)
            rows += header.count
            first[header.first_seq] = max(first.get(header.first_seq, 0), header.count)
    different = sum(first.values())
    return different, rows - different


def main() -> None:
    """Run it and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=50_000.0, help="steps a second")
    parser.add_argument("--seconds", type=float, default=300.0, help="without a broker")
    parser.add_argument("--before", type=float, default=10.0)
    parser.add_argument("--mode", choices=("batch", "step"), default="batch")
    arguments = parser.parse_args()
    logging.getLogger("runbus").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        options = KafkaOptions(Path(home) / "kafka", free_port(), free_port(), cache())
        settings = KafkaSettings(options.bootstrap_servers)
        broker = start(kafka_service(options), Path(home) / "kafka.log")
        try:
            apply_topics(settings)
            folder = Path(home) / "journal"
            recorder = Recorder("outage", bus=RunBus(), settings=settings, journal=folder, journal_mode=arguments.mode)
            agent = Agent(recorder, folder, arguments.rate)
            stretches = {"with": agent.run(arguments.before)}
            broker.kill()
            stretches["without"] = agent.run(arguments.seconds)
            broker = start(kafka_service(options), Path(home) / "kafka.log")
            stretches["again"] = agent.run(arguments.before)
            recorder.close()
            begin = time.monotonic()
            done = recorder.flush(3600)
            caught_up = time.monotonic() - begin
            different, twice = in_log(settings)
        finally:
            broker.kill()
    print(json.dumps({name: vars_of(stretch) for name, stretch in stretches.items()}))
    stats = recorder.stats()
    print(
        f"recorded {agent.recorded:,}, in the log {different:,}, lost {agent.recorded - different:,}, twice {twice:,}, "
        f"dropped {stats['dropped']}, delivered {done}, {caught_up:.1f} s behind the end"
    )


def vars_of(stretch: Stretch) -> dict[str, float]:
    """Return a stretch's figures, rounded."""
    return {name: round(getattr(stretch, name), 2) for name in stretch.__dataclass_fields__}


if __name__ == "__main__":
    main()

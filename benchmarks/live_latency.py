"""Measures milliseconds from a step's timestamp to the LiveMetrics that say so, readable by a consumer.

Method: `--streams` recorders with their default settings (a batch closes after 50 ms, the Kafka client lingers 5 ms)
record `--rate` steps a second each, one stream after the other, which makes 20 batches a second each and 100 in all
(`--streams 100 --rate 1`: 100 streams of one batch a second), for `--seconds`; one live-metrics worker; one
confluent-kafka consumer that has the topic by assign() and notes when each record came.
`newest` is, for each record that brought a newer step, its time minus that of the newest step in it. `every` is, for
each step, the time of the first record that covers it minus its own: the step's wait for its batch and the 250 ms
between two LiveMetrics of a stream are in it. The first two seconds are left out. All on one clock and one machine,
which they share.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from confluent_kafka import Consumer, Message, TopicPartition

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.recorder import Recorder, RunBus
from runbus.schemas.batch import decode
from runbus.schemas.codec import Codec
from runbus.schemas.events import LiveMetrics
from setup.engines import broker

PARTITIONS = 4
WARM_UP_S = 2.0


@contextmanager
def stack(folder: Path) -> Iterator[KafkaSettings]:
    """Run a broker and one worker that has its partitions."""
    with broker(folder) as settings:
        apply_topics(settings, partitions=PARTITIONS)
        env = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers}
        with (folder / "worker.log").open("wb") as output:
            argv = [sys.executable, "-m", "runbus.live_metrics"]
            worker = subprocess.Popen(argv, env=env, stdout=output, stderr=output)
        try:
            yield settings
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(30)


@dataclass
class Arrivals:
    """Records of `live-metrics`: (run, agent) -> (arrival in seconds since the epoch, newest step in seconds)."""

    settings: KafkaSettings
    found: dict[tuple[str, str], list[tuple[float, float]]] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        """Read until told to stop."""
        consumer = _consumer(self.settings, "live-metrics")
        while not self.stop.is_set():
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                now = time.time()
                event = LiveMetrics.decode(Codec().open(message.value(), "LiveMetrics")[1])
                self.found.setdefault((event.run_id, event.agent_id), []).append((now, event.newest_ts / 1e6))
        consumer.close()


def _consumer(settings: KafkaSettings, topic: str) -> Consumer:
    consumer = Consumer({**settings.client_config(), "group.id": f"bench-{topic}", "enable.auto.commit": False})
    consumer.assign([TopicPartition(settings.topic_prefix + topic, p, 0) for p in range(PARTITIONS)])
    return consumer


def step_times(settings: KafkaSettings, run: str, total: int) -> tuple[dict[tuple[str, str], list[float]], int]:
    """Return the times of a run's steps by stream, read from the log, in seconds; and the number of batches."""
    found: dict[tuple[str, str], list[float]] = {}
    consumer, batches, seen = _consumer(settings, "steps"), 0, 0
    end = time.monotonic() + 60
    while seen < total:
        if time.monotonic() > end:
            raise TimeoutError(f"{seen} of {total} steps that were acknowledged are in the log")
        messages: list[Message] = consumer.consume(1000, 1.0)
        for message in messages:
            batch = decode(Codec().open(message.value(), "StepBatch")[1])
            if batch.header.run_id == run:
                batches, seen = batches + 1, seen + batch.header.count
                times = (batch.columns.ts / 1e6).tolist()
                found.setdefault((run, batch.header.agent_id), []).extend(times)
    consumer.close()
    return found, batches


def record(settings: KafkaSettings, run: str, streams: int, rate: float, seconds: float) -> int:
    """Record `rate` steps a second for each stream; return the number of steps in all."""
    recorders = [Recorder(run, f"agent-{i}", bus=RunBus(), settings=settings) for i in range(streams)]
    observation, started = np.zeros(4, np.float32), time.perf_counter()
    count = int(rate * seconds)
    for recorder in recorders:
        recorder.reset(observation)
    for number in range(count):
        for index, recorder in enumerate(recorders):
            time.sleep(max(0.0, started + (number + index / streams) / rate - time.perf_counter()))
            recorder.step(1, 1.0, number % 200 == 199, False, observation)
            if number % 200 == 199:
                recorder.reset(observation)
    for recorder in recorders:
        recorder.close()
    assert all(recorder.flush(30) for recorder in recorders)
    return sum(int(str(recorder.stats()["produced"])) for recorder in recorders)


def run_round(settings: KafkaSettings, number: int, args: argparse.Namespace) -> dict[str, float]:
    """Measure one run."""
    run = f"run-{number}"
    arrivals = Arrivals(settings)
    reading = threading.Thread(target=arrivals.read)
    reading.start()
    total = record(settings, run, args.streams, args.rate, args.seconds)
    times, batches = step_times(settings, run, total)
    end = time.monotonic() + 30
    while any(_newest(arrivals, stream) < max(steps) for stream, steps in times.items()):
        if time.monotonic() > end:
            raise TimeoutError("live-metrics does not come to the last step")
        time.sleep(0.05)
    arrivals.stop.set()
    reading.join()
    newest, every = latencies(times, arrivals.found)
    return {
        "batches_per_s": batches / args.seconds,
        **{f"newest_p{q}": float(np.percentile(newest, q)) for q in (50, 99)},
        **{f"every_p{q}": float(np.percentile(every, q)) for q in (50, 99)},
    }


def _newest(arrivals: Arrivals, stream: tuple[str, str]) -> float:
    return max((newest for _, newest in arrivals.found.get(stream, ())), default=0.0)


def latencies(
    times: Mapping[tuple[str, str], list[float]], found: Mapping[tuple[str, str], list[tuple[float, float]]]
) -> tuple[list[float], list[float]]:
    """Return milliseconds (of each LiveMetrics to its newest step, of each step to its first LiveMetrics)."""
    newest, every = [], []
    for stream, steps in times.items():
        begin = min(steps) + WARM_UP_S
        came, covered = zip(*found[stream], strict=True)
        brought = [(at, step) for (_, before), (at, step) in pairwise(found[stream]) if step > before]
        newest += [(at - step) * 1000 for at, step in brought if step >= begin]
        every += [(came[bisect_left(covered, step)] - step) * 1000 for step in steps if step >= begin]
    return newest, every


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=5)
    parser.add_argument("--rate", type=float, default=200.0, help="steps a second of each stream")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    logging.getLogger("runbus").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder, stack(Path(folder)) as settings:
        rounds = [run_round(settings, number, args) for number in range(args.rounds)]
    median = {key: round(statistics.median(r[key] for r in rounds), 1) for key in rounds[0]}
    if args.json:
        print(json.dumps({"load": os.getloadavg(), "rounds": rounds, "median": median}))
        return
    for key, value in median.items():
        print(f"{key:14} {value:10.1f}   rounds: {', '.join(f'{r[key]:.1f}' for r in rounds)}")


if __name__ == "__main__":
    main()

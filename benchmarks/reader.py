"""Compares a Reader, which decodes to arrays, with a bare consumer of confluent-kafka: steps a second on one core.

Method: a topic of 4 partitions is filled with `--records` records of `--size` steps of 8 single-environment streams
(two a partition, 4 float32 values an observation, episodes of 200 steps, lz4) before anything is measured. Each
measurement is a process of its own that is bound to one core with all its threads (Linux), and counts from its first
record to its last:

- `bare`: a Consumer of confluent-kafka with the settings of a Reader, by `consume`; it only counts records;
- `reader`: a Reader that is asked for the sum of rewards and the first action and observation of each record;
- `named`: the same with a name, and a commit every 100 events;
- `other run`: a Reader of another run: every record is passed over by its key.

They take turns for `--rounds`; printed are medians, and the median of the ratios to `bare` of the same round. The
broker shares the machine's processors; what others do on them changes the steps a second, and hardly the processor time
of a record, from which the last column is: steps a second of a core that has nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Producer, TopicPartition

from runbus.kafka.admin import apply_topics
from runbus.kafka.clients import new_reader
from runbus.kafka.settings import KafkaSettings, Membership
from runbus.kafka.topics import stream_key
from runbus.reader import Reader, Steps
from runbus.schemas.avsc import schema
from runbus.schemas.batch import encode
from runbus.schemas.codec import Codec
from setup.engines import broker
from setup.steps import random_walk, spread_agents

PARTITIONS, STREAMS = 4, 8
COMMIT_EVERY = 100
Measured = dict[str, float]


def fill(settings: KafkaSettings, records: int, size: int) -> None:
    """Create the topics and produce the records, the streams in turn."""
    apply_topics(settings, partitions=PARTITIONS)
    names, frame, kind = spread_agents("bench", STREAMS, PARTITIONS), Codec().frame, schema("StepBatch")
    producer = Producer({**settings.producer_config(), "compression.type": "lz4", "linger.ms": 5})
    for number in range(records):
        batch = random_walk("bench", names[number % STREAMS], number // STREAMS * size, size)
        key, value = stream_key("bench", batch.header.agent_id), frame("", kind, encode(batch))
        while True:
            try:
                producer.produce(f"{settings.topic_prefix}steps", value, key)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(60) == 0


def bare(settings: KafkaSettings, records: int) -> Measured:
    """Count records with a bare consumer."""
    consumer = new_reader(settings, Membership("bare", "classic", 10))
    consumer.assign([TopicPartition(f"{settings.topic_prefix}steps", p, 0) for p in range(PARTITIONS)])
    seen = 0
    started = cpu = 0.0
    while seen < records:
        seen += sum(message.error() is None for message in consumer.consume(1000, 0.1))
        if not started and seen:
            started, cpu, first = time.perf_counter(), time.process_time(), seen
    found = {
        "records": seen - first,
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
    }
    consumer.close()
    return found


def decoded(settings: KafkaSettings, records: int, name: str | None = None) -> Measured:
    """Read every record as arrays; with a name, commit now and then."""
    total, seen = 0.0, 1
    with Reader(name, start="beginning", settings=settings) as reader:
        reader.poll(60)
        started, cpu = time.perf_counter(), time.process_time()
        for event in reader:
            assert isinstance(event, Steps)
            total += float(event.reward.sum()) + event.observation[0, 0] + event.action[0]
            seen += 1
            if name is not None and not seen % COMMIT_EVERY:
                reader.commit()
            if seen == records:
                break
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {"records": records - 1, "seconds": seconds, "cpu": cpu}


def named(settings: KafkaSettings, records: int) -> Measured:
    """Read every record as arrays, with commits."""
    return decoded(settings, records, f"bench-{os.getpid()}")


def other_run(settings: KafkaSettings, records: int) -> Measured:
    """Pass over every record."""
    with Reader(run="another", start="beginning", settings=settings) as reader:
        while not reader.stats()["passed_over"]:
            reader.poll(0.001)
        first, started, cpu = reader.stats()["passed_over"], time.perf_counter(), time.process_time()
        while reader.stats()["passed_over"] < records:
            reader.poll(0.01)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {"records": records - first, "seconds": seconds, "cpu": cpu}


KINDS: dict[str, Callable[[KafkaSettings, int], Measured]] = {
    "bare": bare,
    "reader": decoded,
    "named": named,
    "other run": other_run,
}


def measure(kind: str, settings: KafkaSettings, records: int) -> Measured:
    """Return what a process of its own measured."""
    argv = [sys.executable, __file__, "--measure", kind, settings.bootstrap_servers, str(records)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    found: Measured = json.loads(done.stdout)
    return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=40_000)
    parser.add_argument("--size", type=int, default=256, help="steps of a record")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        kind, servers, records = args.measure
        print(json.dumps(KINDS[kind](KafkaSettings(servers), int(records))))
        return
    with tempfile.TemporaryDirectory() as folder, broker(Path(folder)) as kafka:
        fill(kafka, args.records, args.size)
        rounds = [{kind: measure(kind, kafka, args.records) for kind in KINDS} for _ in range(args.rounds)]
    results = {
        kind: {
            "steps_per_s": statistics.median(r[kind]["records"] * args.size / r[kind]["seconds"] for r in rounds),
            "cpu_us_a_record": statistics.median(r[kind]["cpu"] / r[kind]["records"] * 1e6 for r in rounds),
            "steps_per_cpu_s": statistics.median(r[kind]["records"] * args.size / r[kind]["cpu"] for r in rounds),
            "of_bare": statistics.median(
                r[kind]["records"] / r[kind]["seconds"] / (r["bare"]["records"] / r["bare"]["seconds"]) for r in rounds
            ),
        }
        for kind in KINDS
    }
    if args.json:
        print(json.dumps({"load": os.getloadavg(), "results": results}))
        return
    load = f"load {os.getloadavg()[0]:.1f}"
    print(f"{'':10s} {'steps/s':>14s} {'of bare':>8s} {'cpu us/record':>14s} {'steps/cpu s':>12s}   {load}")
    for kind, found in results.items():
        print(
            f"{kind:10s} {found['steps_per_s']:14,.0f} {found['of_bare']:8.3f} {found['cpu_us_a_record']:14.1f} "
            f"{found['steps_per_cpu_s']:12,.0f}"
        )


if __name__ == "__main__":
    main()

"""Compares one worker of each stream app, its state and its commits included, with a bare reader: steps a second.

Method: topics of 4 partitions are filled with `--records` records of 8 single-environment streams (two a partition, 4
float32 values an observation, episodes of 200 steps, lz4) before anything is measured, once of 64 steps each and once
of 256. A worker (`python -m runbus.episodes`, `python -m runbus.live_metrics`) starts with that backlog; its rate is
taken from its committed offsets, asked for every 20 ms, from the first commit to the one that ends the log: what counts
is what it has decoded, folded into its state, written and committed. Its processor time is read from the operating
system at both ends. `reader` is a process of its own that reads the same topic by aiokafka's getmany with the same
fetch settings, under uvloop, and decodes nothing. The three take turns for `--rounds`, each round on topics of its own;
printed are medians, and the median of the ratio of each pair. Broker, workers and this program share the machine's
processors. There must be enough records for several commits (one a second for live-metrics).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import stream_key
from runbus.schemas.avsc import schema
from runbus.schemas.batch import encode
from runbus.schemas.codec import Codec
from setup.engines import broker
from setup.processes import cpu_seconds
from setup.steps import random_walk, spread_agents

PARTITIONS, STREAMS = 4, 8
APPS = {"episodes": "runbus.episodes", "live-metrics": "runbus.live_metrics"}
DEADLINE_S = 300.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement: steps a second, and processor time in microseconds a step."""

    rate: float
    cpu_us: float


def make_records(steps: int, size: int) -> list[tuple[bytes, bytes]]:
    """Return key and value of each record, the streams in turn."""
    names, frame, kind = spread_agents("bench", STREAMS, PARTITIONS), Codec().frame, schema("StepBatch")
    batches = (random_walk("bench", names[n % STREAMS], n // STREAMS * size, size) for n in range(steps // size))
    return [(stream_key("bench", batch.header.agent_id), frame("", kind, encode(batch))) for batch in batches]


def fill(settings: KafkaSettings, records: list[tuple[bytes, bytes]]) -> None:
    """Create the topics and produce the records."""
    apply_topics(settings, partitions=PARTITIONS)
    producer = Producer(
        {**settings.client_config(), "compression.type": "lz4", "linger.ms": 5, "partitioner": "murmur2"}
    )
    for key, value in records:
        while True:
            try:
                producer.produce(f"{settings.topic_prefix}steps", key=key, value=value)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(60) == 0


def measure_app(kind: str, settings: KafkaSettings, records: int, size: int, folder: Path) -> Measured:
    """Return what a worker does from its first commit to its last."""
    env = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "RUNBUS_TOPIC_PREFIX": settings.topic_prefix,
    }
    with (folder / f"{settings.topic_prefix}{kind}.log").open("wb") as output:
        worker = subprocess.Popen([sys.executable, "-m", APPS[kind]], env=env, stdout=output, stderr=output)
    group = {"group.id": settings.topic_prefix + kind, "enable.auto.commit": False}
    cursor = Consumer({**settings.client_config(), **group})  # asks for offsets; it does not join
    try:
        first = _until(cursor, settings, 1, worker)
        started, cpu = time.perf_counter(), cpu_seconds(worker.pid)
        _until(cursor, settings, records, worker)
        seconds, cpu = time.perf_counter() - started, cpu_seconds(worker.pid) - cpu
    finally:
        cursor.close()
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)
    steps = (records - first) * size
    return Measured(steps / seconds, cpu / steps * 1e6)


def _until(cursor: Consumer, settings: KafkaSettings, records: int, worker: subprocess.Popen[bytes]) -> int:
    """Wait until that many records are committed; return how many are."""
    end = time.monotonic() + DEADLINE_S
    while True:
        partitions = [TopicPartition(settings.topic_prefix + "steps", p) for p in range(PARTITIONS)]
        found = 0
        with contextlib.suppress(KafkaException):  # a new broker looks for the group's coordinator first
            found = sum(max(int(found.offset), 0) for found in cursor.committed(partitions, timeout=10))
        if found >= records:
            return found
        if time.monotonic() > end or worker.poll() is not None:
            raise TimeoutError(f"{found} of {records} records are committed")
        time.sleep(0.02)


def measure_reader(settings: KafkaSettings, records: int, size: int) -> Measured:
    """Return what a bare reader, in a process of its own, does from its first records to its last."""
    argv = [sys.executable, __file__, "--read", settings.bootstrap_servers, settings.topic_prefix, str(records)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    steps = found["records"] * size
    return Measured(steps / found["seconds"], found["cpu"] / steps * 1e6)


async def read(servers: str, prefix: str, records: int) -> None:
    """Read the topic and print how long it took after the first answer."""
    import aiokafka

    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=200,
        max_partition_fetch_bytes=8 * 1024 * 1024,
    )
    await consumer.start()
    consumer.assign([aiokafka.TopicPartition(f"{prefix}steps", partition) for partition in range(PARTITIONS)])
    first = seen = 0
    started = cpu = 0.0
    while seen < records:
        seen += sum(map(len, (await consumer.getmany(timeout_ms=1000, max_records=1000)).values()))
        if not first and seen:
            first, started, cpu = seen, time.perf_counter(), time.process_time()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    await consumer.stop()
    print(json.dumps({"records": seen - first, "seconds": seconds, "cpu": cpu}))


def run_round(servers: str, name: str, records: list[tuple[bytes, bytes]], size: int) -> dict[str, Measured]:
    """Measure the three on topics of this round alone."""
    settings = KafkaSettings(bootstrap_servers=servers, topic_prefix=f"{name}.")
    fill(settings, records)
    try:
        with tempfile.TemporaryDirectory() as folder:
            results = {"reader": measure_reader(settings, len(records), size)}
            for kind in APPS:
                results[kind] = measure_app(kind, settings, len(records), size, Path(folder))
            return results
    finally:
        admin = AdminClient({**settings.client_config()})
        mine = [topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(settings.topic_prefix)]
        for done in admin.delete_topics(mine).values():
            done.result(30)


def summary(rounds: list[dict[str, Measured]]) -> dict[str, dict[str, float]]:
    """Return the medians, and the median ratio of each app to the reader of its round."""
    return {
        name: {
            "steps_per_s": statistics.median(r[name].rate for r in rounds),
            "cpu_us": statistics.median(r[name].cpu_us for r in rounds),
            "of_reader": statistics.median(r[name].rate / r["reader"].rate for r in rounds),
        }
        for name in ("reader", *APPS)
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=48_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256], help="steps of a record")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--read", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.read:
        import uvloop

        uvloop.run(read(args.read[0], args.read[1], int(args.read[2])))
        return
    results = {}
    with tempfile.TemporaryDirectory() as folder, broker(Path(folder)) as kafka:
        servers = kafka.bootstrap_servers
        for size in args.sizes:
            records = make_records(args.records * size, size)
            results[size] = summary([run_round(servers, f"b{size}-{n}", records, size) for n in range(args.rounds)])
    if args.json:
        print(json.dumps({"load": os.getloadavg(), "results": results}))
        return
    print(f"{'':18s} {'steps/s':>14s} {'cpu us/step':>12s} {'of reader':>10s}")
    for size, found in results.items():
        for name, r in found.items():
            print(f"{size:4d} {name:13s} {r['steps_per_s']:14,.0f} {r['cpu_us']:12.2f} {r['of_reader']:10.3f}")


if __name__ == "__main__":
    main()

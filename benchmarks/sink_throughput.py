"""Compares the sink, all guarantees on, with plain inserts of the same containers in the same run: steps a second.

Method: a topic of `--partitions` partitions is filled with `--steps` steps (records of 256 steps, 4 float32 values an
observation, lz4) before anything is measured. `sink` is a sink process that starts with that backlog: from its first
stored row until less than a range of each partition is left, seen by counting rows ten times a second (the number that
the table knows by itself); its processor time is read from the operating system at both ends. The last range of a
partition waits for its second to pass: that is latency and not measured here. `plain` then
sends the same values, wrapped in the same containers of the same size, by plain inserts (no tokens, no commits, no log)
into the same tables, from as many threads. The two take turns for `--rounds`; printed are medians and the ratio of each
pair. `catch_up` is another topic, filled in the same way: a sink starts with that backlog while new steps come at
`--nominal` steps a second, and is measured until less than a second of them waits; its ratio is the steps that it
stores a second over those that come. Engines are the local ones, on this machine, so broker, engine, sink and this
program share its processors, and only `sink` also pays for reading the log.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, Producer, TopicPartition

from runbus.clickhouse.client import connect
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import stream_key
from runbus.schemas.avsc import schema
from runbus.schemas.batch import encode
from runbus.schemas.codec import SINGLE_OBJECT_SIZE, Codec
from runbus.sink.container import Container
from setup.engines import engines
from setup.processes import cpu_seconds
from setup.steps import random_walk

BATCH = 256
RANGE_STEPS = 250_000
DEADLINE_S = 300.0
NEW_S = 40.0  # how long new steps come at most


@dataclass(frozen=True, slots=True)
class Result:
    """One round: steps a second of sink and plain, their ratio, the sink's processor time (microseconds a step).

    `catch_up_ratio`: steps stored for each new one while a backlog is drained.
    """

    sink_steps_per_second: float
    plain_steps_per_second: float
    ratio: float
    sink_cpu_us_per_step: float
    catch_up_steps_per_second: float
    catch_up_ratio: float


@dataclass(frozen=True, slots=True)
class Trial:
    """The engines and the size of a run; `nominal` is steps a second."""

    kafka: KafkaSettings
    clickhouse: ClickHouseSettings
    steps: int
    partitions: int
    threads: int
    nominal: float
    folder: Path


class Writer:
    """Writes the steps of a run, evenly over the partitions of its topic."""

    def __init__(self, trial: Trial, run: str) -> None:
        self._trial, self._run, self._kind = trial, run, schema("StepBatch")
        self._producer = Producer({**trial.kafka.client_config(), "compression.type": "lz4", "linger.ms": 20})
        self.written = 0

    def value(self, number: int) -> bytes:
        """Return the batch of that number of the run."""
        batch = random_walk(self._run, self._agent(number), number // self._trial.partitions * BATCH, BATCH)
        return Codec().frame("steps", self._kind, encode(batch))

    def send(self, number: int, value: bytes) -> None:
        """Write it."""
        self._producer.produce(
            f"{self._trial.kafka.topic_prefix}steps", key=stream_key(self._run, self._agent(number)), value=value,
            partition=number % self._trial.partitions,
        )  # fmt: skip
        self._producer.poll(0)
        self.written += BATCH

    def flush(self) -> None:
        """Wait until the log has everything."""
        assert self._producer.flush(60) == 0

    def _agent(self, number: int) -> str:
        return f"agent-{number % self._trial.partitions}"


def fill(trial: Trial, run: str) -> Writer:
    """Produce the steps, evenly over the partitions."""
    apply_topics(trial.kafka, partitions=trial.partitions)
    writer = Writer(trial, run)
    for number in range(trial.steps // BATCH):
        writer.send(number, writer.value(number))
    writer.flush()
    return writer


def rows(client: Client) -> int:
    """Return the number of rows: with no condition, it costs the engine nothing."""
    return int(client.query("SELECT count() FROM steps").result_rows[0][0])


@contextmanager
def sink(trial: Trial, group: str) -> Iterator[int]:
    """Run a sink; yield its pid."""
    env = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": trial.kafka.bootstrap_servers,
        "RUNBUS_TOPIC_PREFIX": trial.kafka.topic_prefix,
        "CLICKHOUSE_URL": trial.clickhouse.url,
        "CLICKHOUSE_USER": trial.clickhouse.user,
        "CLICKHOUSE_PASSWORD": trial.clickhouse.password.reveal(),
        "CLICKHOUSE_DATABASE": trial.clickhouse.database,
        "RUNBUS_SINK_GROUP": group,
        "RUNBUS_SINK_PARALLEL_INSERTS": str(trial.threads),
    }
    with (trial.folder / f"{group}.log").open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "runbus.sink"], env=env, stdout=output, stderr=output)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def measure_sink(trial: Trial, client: Client, group: str) -> tuple[float, float]:
    """Return (steps a second, microseconds of processor time a step) while the sink has full ranges to store."""
    with sink(trial, group) as pid:
        first = _until(client, 1)
        started, cpu = time.perf_counter(), cpu_seconds(pid)
        stored = _until(client, trial.steps - trial.partitions * RANGE_STEPS) - first
        seconds, cpu = time.perf_counter() - started, cpu_seconds(pid) - cpu
        _until(client, trial.steps)
    assert rows(client) == trial.steps
    return stored / seconds, cpu / stored * 1e6


def measure_catch_up(trial: Trial, client: Client, run: str, group: str) -> float:
    """Return steps stored a second while new ones come, from the first row until less than a second of them waits."""
    writer, ended = fill(trial, run), threading.Event()
    first_new = trial.steps // BATCH
    values = [writer.value(first_new + i) for i in range(int(trial.nominal * NEW_S / BATCH))]

    def come() -> None:
        began = time.monotonic()
        for number, value in enumerate(values):
            if ended.wait(max(0.0, number * BATCH / trial.nominal - (time.monotonic() - began))):
                break
            writer.send(first_new + number, value)
        writer.flush()

    with sink(trial, group):
        first = _until(client, 1)
        started = time.perf_counter()
        coming = threading.Thread(target=come)
        coming.start()
        while (stored := rows(client)) < writer.written - trial.nominal:
            assert coming.is_alive(), f"not caught up in {NEW_S:.0f} s: {stored} of {writer.written} rows"
            time.sleep(0.1)
        seconds = time.perf_counter() - started
        ended.set()
        coming.join()
        _until(client, writer.written)
    assert rows(client) == writer.written
    return (stored - first) / seconds


def _until(client: Client, count: int) -> int:
    end = time.monotonic() + DEADLINE_S
    while (found := rows(client)) < count:
        if time.monotonic() > end:
            raise TimeoutError(f"{found} of {count} rows")
        time.sleep(0.1)
    return found


def measure_plain(trial: Trial, client: Client) -> float:
    """Return steps a second of plain inserts of the same values in containers of the same size."""
    containers = [part for number in range(trial.partitions) for part in read_containers(trial, number)]

    def insert(container: memoryview) -> None:
        client.raw_insert("steps_landing", insert_block=container, fmt="Avro", settings={"async_insert": "0"})  # type: ignore[arg-type]

    started = time.perf_counter()
    with ThreadPoolExecutor(trial.threads) as pool:
        for _ in pool.map(insert, containers):
            pass
    seconds = time.perf_counter() - started
    assert rows(client) == 2 * trial.steps
    return trial.steps / seconds


def read_containers(trial: Trial, partition: int) -> list[memoryview]:
    """Return the values of one partition, as the sink would wrap them."""
    consumer = Consumer({**trial.kafka.client_config(), "group.id": "plain", "enable.auto.commit": False})
    topic = f"{trial.kafka.topic_prefix}steps"
    _, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
    consumer.assign([TopicPartition(topic, partition, 0)])
    values: list[tuple[int, bytes, int]] = []
    while len(values) < high:
        values += [
            (int(m.offset() or 0), m.value() or b"", SINGLE_OBJECT_SIZE)
            for m in consumer.consume(min(1000, high - len(values)), 5)
        ]
    consumer.close()
    per_range = RANGE_STEPS // BATCH
    kind = schema("StepBatch")
    parts = (values[i : i + per_range] for i in range(0, len(values), per_range))
    return [memoryview(bytes(Container(kind, "plain", partition, part))) for part in parts]


def run_round(trial: Trial, number: int) -> Result:
    """Measure one pair and one catching up, each on a fresh topic."""
    pair, late = (replace(trial, kafka=replace(trial.kafka, topic_prefix=f"{kind}{number}.")) for kind in ("p", "c"))
    run = f"run-{number}"
    fill(pair, run)
    client = connect(trial.clickhouse)
    try:
        guarded, cpu = measure_sink(pair, client, f"pair-{number}")
        plain = measure_plain(pair, client)
        client.command("TRUNCATE TABLE steps")
        caught_up = measure_catch_up(late, client, f"late-{number}", f"late-{number}")
        client.command("TRUNCATE TABLE steps")
    finally:
        client.close()
    return Result(guarded, plain, guarded / plain, cpu, caught_up, caught_up / trial.nominal)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=7_995_392)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--threads", type=int, default=4, help="inserts at the same time, in both")
    parser.add_argument("--nominal", type=float, default=200_000, help="steps a second that come during catch_up")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    steps = args.steps // (BATCH * args.partitions) * BATCH * args.partitions
    with tempfile.TemporaryDirectory() as name, engines(Path(name)) as (kafka, clickhouse):
        trial = Trial(kafka, clickhouse, steps, args.partitions, args.threads, args.nominal, Path(name))
        results = [run_round(trial, number) for number in range(args.rounds)]
    median = {key: statistics.median(getattr(r, key) for r in results) for key in asdict(results[0])}
    if args.json:
        print(json.dumps({"steps": steps, "rounds": [asdict(r) for r in results], "median": median}))
        return
    for key, value in median.items():
        print(f"{key:26} {value:14,.3f}   rounds: {', '.join(f'{getattr(r, key):,.3f}' for r in results)}")


if __name__ == "__main__":
    main()

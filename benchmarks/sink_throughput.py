"""Steps a second of the sink, all guarantees on, against an unguarded insert of the same containers in the same run.

Method: a topic of `--partitions` partitions is filled with `--steps` steps (records of 256 steps, 4 float32 values an
observation, lz4) before anything is measured. `sink` is a sink process that starts with that backlog: from its first
stored row until less than a range of each partition is left, seen by counting rows ten times a second (the number that
the table knows by itself); its processor time is read from the operating system at both ends. The last range of a
partition is a rest that waits for its second to pass: what that costs is said by the latency, not here. `plain` then
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

import numpy as np
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, Producer, TopicPartition

from runbus.clickhouse.client import connect
from runbus.clickhouse.migrate import migrate
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.secret import Secret
from runbus.config.sources import cache
from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import stream_key
from runbus.local.clickhouse import OWNER, ClickHouseOptions, clickhouse_service, new_password
from runbus.local.kafka import KafkaOptions, kafka_service
from runbus.local.ports import free_port
from runbus.local.process import running
from runbus.schemas.avsc import schema
from runbus.schemas.batch import BatchHeader, StepBatch, StepColumns, encode
from runbus.schemas.codec import SINGLE_OBJECT_SIZE, Codec
from runbus.schemas.layout import Layout
from runbus.sink.container import Container

BATCH = 256
RANGE_STEPS = 250_000
DEADLINE_S = 300.0
NEW_S = 40.0  # how long new steps come at most


@dataclass(frozen=True, slots=True)
class Result:
    """One round: steps a second of sink and plain, their ratio, the sink's processor time (microseconds a step).

    `catch_up_ratio` is how many steps are stored for each that comes while a backlog is drained.
    """

    sink_steps_per_second: float
    plain_steps_per_second: float
    ratio: float
    sink_cpu_us_per_step: float
    catch_up_steps_per_second: float
    catch_up_ratio: float


@dataclass(frozen=True, slots=True)
class Bench:
    """The engines and the size of a run; `nominal` is steps a second."""

    kafka: KafkaSettings
    clickhouse: ClickHouseSettings
    steps: int
    partitions: int
    threads: int
    nominal: float
    folder: Path


@contextmanager
def engines(folder: Path) -> Iterator[tuple[KafkaSettings, ClickHouseSettings]]:
    """Run a broker and an engine."""
    kafka = KafkaOptions(folder / "kafka", free_port(), free_port(), cache())
    options = ClickHouseOptions(folder / "clickhouse", free_port(), new_password(), new_password())
    with running(kafka_service(kafka), folder / "k.log"), running(clickhouse_service(options), folder / "c.log"):
        settings = ClickHouseSettings(options.url, OWNER, Secret(options.owner_password), "bench")
        migrate(settings)
        yield KafkaSettings(kafka.bootstrap_servers), settings


def make_batch(run: str, agent: str, first: int) -> StepBatch:
    """Return 256 steps of a random walk."""
    rng = np.random.default_rng(first)
    seq = np.arange(first, first + BATCH)
    observation = np.cumsum(rng.normal(0, 0.02, (BATCH, 4)), 0).astype("<f4")
    columns = StepColumns(
        env=np.zeros(BATCH, "<i4"),
        episode=(seq // 200).astype("<i8"),
        step=(seq % 200).astype("<i4"),
        ts=(1_790_000_000_000_000 + seq * 20_000 + rng.integers(0, 900, BATCH)).astype("<i8"),
        reward=-np.abs(observation[:, 0]).astype("<f8"),
        terminated=(seq % 200 == 199).astype("u1"),
        truncated=np.zeros(BATCH, "u1"),
    )
    header = BatchHeader(run, agent, 1, first, BATCH, 0, 1, Layout("<i8", (), 8), Layout("<f4", (4,), 16))
    return StepBatch(header, columns, rng.integers(0, 2, BATCH).astype("<i8").tobytes(), observation.tobytes())


class Writer:
    """Writes the steps of a run, evenly over the partitions of its topic."""

    def __init__(self, bench: Bench, run: str) -> None:
        self._bench, self._run, self._kind = bench, run, schema("StepBatch")
        self._producer = Producer({**bench.kafka.client_config(), "compression.type": "lz4", "linger.ms": 20})
        self.written = 0

    def value(self, number: int) -> bytes:
        """Return the batch of that number of the run."""
        batch = make_batch(self._run, self._agent(number), number // self._bench.partitions * BATCH)
        return Codec().frame("steps", self._kind, encode(batch))

    def send(self, number: int, value: bytes) -> None:
        """Write it."""
        self._producer.produce(
            f"{self._bench.kafka.topic_prefix}steps", key=stream_key(self._run, self._agent(number)), value=value,
            partition=number % self._bench.partitions,
        )  # fmt: skip
        self._producer.poll(0)
        self.written += BATCH

    def flush(self) -> None:
        """Wait until the log has everything."""
        assert self._producer.flush(60) == 0

    def _agent(self, number: int) -> str:
        return f"agent-{number % self._bench.partitions}"


def fill(bench: Bench, run: str) -> Writer:
    """Produce the steps, evenly over the partitions."""
    apply_topics(bench.kafka, partitions=bench.partitions)
    writer = Writer(bench, run)
    for number in range(bench.steps // BATCH):
        writer.send(number, writer.value(number))
    writer.flush()
    return writer


def rows(client: Client) -> int:
    """Return the number of rows: with no condition, it costs the engine nothing."""
    return int(client.query("SELECT count() FROM steps").result_rows[0][0])


@contextmanager
def sink(bench: Bench, group: str) -> Iterator[int]:
    """Run a sink; yield its pid."""
    env = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": bench.kafka.bootstrap_servers,
        "RUNBUS_TOPIC_PREFIX": bench.kafka.topic_prefix,
        "CLICKHOUSE_URL": bench.clickhouse.url,
        "CLICKHOUSE_USER": bench.clickhouse.user,
        "CLICKHOUSE_PASSWORD": bench.clickhouse.password.reveal(),
        "CLICKHOUSE_DATABASE": bench.clickhouse.database,
        "RUNBUS_SINK_GROUP": group,
        "RUNBUS_SINK_PARALLEL_INSERTS": str(bench.threads),
    }
    with (bench.folder / f"{group}.log").open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "runbus.sink"], env=env, stdout=output, stderr=output)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def measure_sink(bench: Bench, client: Client, group: str) -> tuple[float, float]:
    """Return (steps a second, microseconds of processor time a step) while the sink has full ranges to store."""
    with sink(bench, group) as pid:
        first = _until(client, 1)
        started, cpu = time.perf_counter(), cpu_seconds(pid)
        stored = _until(client, bench.steps - bench.partitions * RANGE_STEPS) - first
        seconds, cpu = time.perf_counter() - started, cpu_seconds(pid) - cpu
        _until(client, bench.steps)
    assert rows(client) == bench.steps
    return stored / seconds, cpu / stored * 1e6


def measure_catch_up(bench: Bench, client: Client, run: str, group: str) -> float:
    """Return steps stored a second while new ones come, from the first row until less than a second of them waits."""
    writer, ended = fill(bench, run), threading.Event()
    first_new = bench.steps // BATCH
    values = [writer.value(first_new + i) for i in range(int(bench.nominal * NEW_S / BATCH))]

    def come() -> None:
        began = time.monotonic()
        for number, value in enumerate(values):
            if ended.wait(max(0.0, number * BATCH / bench.nominal - (time.monotonic() - began))):
                break
            writer.send(first_new + number, value)
        writer.flush()

    with sink(bench, group):
        first = _until(client, 1)
        started = time.perf_counter()
        coming = threading.Thread(target=come)
        coming.start()
        while (stored := rows(client)) < writer.written - bench.nominal:
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


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_plain(bench: Bench, client: Client) -> float:
    """Return steps a second of plain inserts of the same values in containers of the same size."""
    containers = [part for number in range(bench.partitions) for part in read_containers(bench, number)]

    def insert(container: memoryview) -> None:
        client.raw_insert("steps_landing", insert_block=container, fmt="Avro", settings={"async_insert": "0"})  # type: ignore[arg-type]

    started = time.perf_counter()
    with ThreadPoolExecutor(bench.threads) as pool:
        for _ in pool.map(insert, containers):
            pass
    seconds = time.perf_counter() - started
    assert rows(client) == 2 * bench.steps
    return bench.steps / seconds


def read_containers(bench: Bench, partition: int) -> list[memoryview]:
    """Return the values of one partition, as the sink would wrap them."""
    consumer = Consumer({**bench.kafka.client_config(), "group.id": "plain", "enable.auto.commit": False})
    topic = f"{bench.kafka.topic_prefix}steps"
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


def run_round(bench: Bench, number: int) -> Result:
    """Measure one pair and one catching up, each on a fresh topic."""
    pair, late = (replace(bench, kafka=replace(bench.kafka, topic_prefix=f"{kind}{number}.")) for kind in ("p", "c"))
    run = f"run-{number}"
    fill(pair, run)
    client = connect(bench.clickhouse)
    try:
        guarded, cpu = measure_sink(pair, client, f"pair-{number}")
        plain = measure_plain(pair, client)
        client.command("TRUNCATE TABLE steps")
        caught_up = measure_catch_up(late, client, f"late-{number}", f"late-{number}")
        client.command("TRUNCATE TABLE steps")
    finally:
        client.close()
    return Result(guarded, plain, guarded / plain, cpu, caught_up, caught_up / bench.nominal)


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
        bench = Bench(kafka, clickhouse, steps, args.partitions, args.threads, args.nominal, Path(name))
        results = [run_round(bench, number) for number in range(args.rounds)]
    median = {key: statistics.median(getattr(r, key) for r in results) for key in asdict(results[0])}
    if args.json:
        print(json.dumps({"steps": steps, "rounds": [asdict(r) for r in results], "median": median}))
        return
    for key, value in median.items():
        print(f"{key:26} {value:14,.3f}   rounds: {', '.join(f'{getattr(r, key):,.3f}' for r in results)}")


if __name__ == "__main__":
    main()

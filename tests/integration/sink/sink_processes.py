"""Real sinks as processes, a producer for them, and questions to the tables."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import clickhouse_connect
import numpy as np
import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from runbus.clickhouse.errors import StoreError
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import stream_key
from runbus.schemas.avsc import schema
from runbus.schemas.batch import BatchHeader, StepBatch, encode
from runbus.schemas.codec import Codec
from runbus.schemas.layout import Layout
from tests.support.batches import step_columns
from tests.support.waiting import DEADLINE_S, until

PARTITIONS = 4


def make_batch(run: str, agent: str, first: int, count: int, start_us: int = 1_790_000_000_000_000) -> StepBatch:
    """Return steps `first` to `first + count - 1` of a stream, 4 float32 observations each, 20 ms apart."""
    seq = np.arange(first, first + count)
    columns = step_columns(
        seq,
        ts=start_us + seq * 20_000,
        episode=(seq // 200).astype("<i8"),
        step=(seq % 200).astype("<i4"),
        terminated=(seq % 200 == 199).astype("u1"),
    )
    header = BatchHeader(run, agent, 1, first, count, 0, start_us, Layout("<i8", (), 8), Layout("<f4", (4,), 16))
    return StepBatch(header, columns, seq.astype("<i8").tobytes(), np.repeat(seq, 4).astype("<f4").tobytes())


def widened(batch: StepBatch, width: int) -> StepBatch:
    """Return a batch of `make_batch` with that many float64 observations a step."""
    h = batch.header
    column = np.repeat(np.arange(h.first_seq, h.next_seq, dtype="<f8"), width)
    header = replace(h, observation=Layout("<f8", (width,), 8 * width))
    return replace(batch, header=header, observation=column.tobytes())


@dataclass
class Feed:
    """Writes streams to the log and remembers how far each one is."""

    settings: KafkaSettings
    run: str = field(default_factory=lambda: f"run-{uuid.uuid4().hex[:8]}")
    produced: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.producer = Producer(
            {
                **self.settings.producer_config(),  # as the recorder does: no record overtakes one that is sent again
                "compression.type": "lz4",
                "linger.ms": 5,
                "message.max.bytes": 32 * 1024 * 1024,  # the topic's limit decides
            }
        )

    def steps(self, batches: int, agents: int = 4, size: int = 256) -> None:
        """Produce some batches for each of some streams."""
        for _ in range(batches):
            for agent in (f"agent-{i}" for i in range(agents)):
                first = self.produced.get(agent, 0)
                self.send("steps", stream_key(self.run, agent), self.value(make_batch(self.run, agent, first, size)))
                self.produced[agent] = first + size
            self.producer.poll(0)

    def value(self, batch: StepBatch) -> bytes:
        """Return the framed value of a batch."""
        return Codec().frame(self.settings.topic_prefix + "steps", schema("StepBatch"), encode(batch))

    def send(self, topic: str, key: bytes, value: bytes | None, partition: int = -1) -> None:
        """Produce one value."""
        self.producer.produce(self.settings.topic_prefix + topic, key=key, value=value, partition=partition)

    def raise_limit(self, most: int) -> None:
        """Let the steps topic take values of up to that many bytes."""
        limit = ConfigEntry("max.message.bytes", str(most), incremental_operation=AlterConfigOpType.SET)
        name = self.settings.topic_prefix + "steps"
        topic = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[limit])
        admin = AdminClient({**self.settings.client_config()})
        for done in admin.incremental_alter_configs([topic]).values():
            done.result(30)

    def flush(self) -> None:
        """Wait until the log has everything."""
        assert self.producer.flush(30) == 0

    @property
    def total(self) -> int:
        """Steps produced."""
        return sum(self.produced.values())


class Sinks:
    """Sinks as processes; whatever still runs at the end is killed."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self.env = dict(env)
        self._folder = folder
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *module: str, **settings: str) -> subprocess.Popen[bytes]:
        """Start one; settings are RUNBUS_SINK_* without the prefix. Another module may run it, with arguments."""
        own = {f"RUNBUS_SINK_{name.upper()}": value for name, value in settings.items()}
        with (self._folder / f"sink-{len(self.started)}.log").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *(module or ("runbus.sink",))],
                env={**os.environ, **self.env, **own},
                cwd=self._folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.started.append(process)
        return process

    def log(self, number: int = -1) -> str:
        """Return what one of them said."""
        return (self._folder / f"sink-{number % len(self.started)}.log").read_text()

    def says(self, text: str, number: int = -1, seconds: float = DEADLINE_S) -> None:
        """Wait until it said that."""
        try:
            until(f"the sink says {text!r}", lambda: text in self.log(number), seconds)
        except pytest.fail.Exception as failure:
            failure.add_note(self.log(number))
            raise

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        """SIGTERM; return the exit code."""
        process.send_signal(signal.SIGTERM)
        return process.wait(30)

    def kill_all(self) -> None:
        """SIGKILL what runs."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()


class Tables:
    """Questions to the database."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def one(self, query: str, **parameters: object) -> object:
        """Return the first value of the first row."""
        rows = self.client.query(query, parameters=parameters).result_rows
        return rows[0][0] if rows else None

    def steps(self, feed: Feed) -> int:
        """Return the number of rows of a run; -1 while the engine does not answer."""
        try:
            return int(str(self.one("SELECT count() FROM steps WHERE run_id = {run:String}", run=feed.run)))
        except (clickhouse_connect.driver.exceptions.ClickHouseError, StoreError, OSError):
            return -1

    def wait(self, feed: Feed) -> None:
        """Wait until as many rows are there as were produced (or more)."""
        until(f"{feed.total} rows, there are {self.steps(feed)}", lambda: self.steps(feed) >= feed.total)

    def check(self, feed: Feed) -> None:
        """Fail unless each (agent, seq) of the run is there exactly once, with its own values."""
        rows = self.client.query(
            "SELECT agent_id, count(), uniqExact(seq), min(seq), max(seq), sum(reward = seq), "
            "sum(observation[4] = seq) FROM steps WHERE run_id = {run:String} GROUP BY agent_id ORDER BY agent_id",
            parameters={"run": feed.run},
        ).result_rows
        assert rows == [(a, n, n, 0, n - 1, n, n) for a, n in sorted(feed.produced.items())]


def environment(kafka: KafkaSettings, clickhouse: ClickHouseSettings) -> dict[str, str]:
    """Return the settings of a sink process."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "RUNBUS_TOPIC_PREFIX": kafka.topic_prefix,
        "CLICKHOUSE_URL": clickhouse.url,
        "CLICKHOUSE_USER": clickhouse.user,
        "CLICKHOUSE_PASSWORD": clickhouse.password.reveal(),
        "CLICKHOUSE_DATABASE": clickhouse.database,
        "RUNBUS_SINK_RANGE_SECONDS": "0.2",
        "RUNBUS_SINK_SESSION_SECONDS": "6",
    }

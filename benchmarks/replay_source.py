"""Compares a Source with what reads the same bytes and makes nothing of them: steps a second, from either store.

Method: a topic of 4 partitions is filled with `--records` records of `--size` steps of 8 single-environment streams (4
float32 values an observation, episodes of 200 steps, lz4), and a sink stores them. Each measurement is a process of its
own that opens what it reads from, and counts from its opening to its last step:

- `bare kafka`: a Consumer of confluent-kafka that counts records; `bare clickhouse`: one SELECT of the same columns,
  whose bytes are thrown away;
- `kafka`, `clickhouse`: a Source of 1,024 steps a batch, in order; the first opens with an index of all records;
- `... shuffled`: the same, mixed in windows of 100,000 steps; `... episodes`: whole episodes, in order.

They take turns for `--rounds`; printed are medians, and the median of the ratios to the bare reader of the same store
and round. Engines and readers share the machine's processors.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from confluent_kafka import Producer, TopicPartition

from runbus.clickhouse.answers import Question, answer
from runbus.clickhouse.client import connect
from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.progress import unseen
from runbus.config.secret import Secret
from runbus.kafka.admin import apply_topics
from runbus.kafka.clients import new_reader
from runbus.kafka.settings import KafkaSettings, Membership
from runbus.kafka.topic_log import open_topic
from runbus.kafka.topics import run_event_key, stream_key
from runbus.rebuild.loading import Loader
from runbus.replay import Source
from runbus.replay.source import StoreName
from runbus.schemas.avsc import schema
from runbus.schemas.batch import encode
from runbus.schemas.codec import Codec
from runbus.schemas.events import RunEvent
from runbus.sink.ranges import RangeLimits
from runbus.sink.routes import ROUTES
from runbus.sink.store import ClickHouseStore
from setup.engines import engines
from setup.steps import random_walk, spread_agents

PARTITIONS, STREAMS, RUN = 4, 8, "bench"
BATCH, WINDOW = 1024, 100_000
COLUMNS = "seq, env, episode, step, ts, reward, terminated, truncated, action_raw, observation_raw"


def fill(kafka: KafkaSettings, clickhouse: ClickHouseSettings, records: int, size: int) -> None:
    """Create the topics, produce the records, the streams in turn, and store them."""
    apply_topics(kafka, partitions=PARTITIONS)
    names, codec, kind = spread_agents(RUN, STREAMS, PARTITIONS), Codec(), schema("StepBatch")
    producer = Producer({**kafka.producer_config(), "compression.type": "lz4", "linger.ms": 5})
    now = time.time_ns() // 1000

    def send(topic: str, key: bytes, value: bytes) -> None:
        while True:
            try:
                producer.produce(kafka.topic_prefix + topic, value, key)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)

    for name in names:
        event = RunEvent(run_id=RUN, agent_id=name, attempt=1, kind="STARTED", sent_at=now, started_at=now)
        send("runs", run_event_key(RUN, name, 1), codec.frame("", schema("RunEvent"), event.encode()))
    for number in range(records):
        batch = random_walk(RUN, names[number % STREAMS], number // STREAMS * size, size)
        send("steps", stream_key(RUN, batch.header.agent_id), codec.frame("", kind, encode(batch)))
    assert producer.flush(60) == 0
    store(kafka, clickhouse)


def store(kafka: KafkaSettings, clickhouse: ClickHouseSettings) -> None:
    """Store the steps, as a sink does."""

    async def load() -> None:
        with open_topic(kafka, "steps", "bench") as log:
            loader = Loader(ClickHouseStore(connect(clickhouse), "bench"), Codec(), RangeLimits(), unseen)
            for partition in log.partitions:
                await loader.load(log, ROUTES[0], partition, log.bounds(partition)[1])

    asyncio.run(load())


def bare_kafka(kafka: KafkaSettings, _clickhouse: ClickHouseSettings, records: int, size: int) -> int:
    """Count records with a bare consumer."""
    consumer = new_reader(kafka, Membership("bare", "classic", 10))
    consumer.assign([TopicPartition(f"{kafka.topic_prefix}steps", p, 0) for p in range(PARTITIONS)])
    seen = 0
    while seen < records:
        seen += sum(message.error() is None for message in consumer.consume(1000, 0.1))
    consumer.close()
    return seen * size


def bare_clickhouse(_kafka: KafkaSettings, clickhouse: ClickHouseSettings, records: int, size: int) -> int:
    """Read the columns as bytes."""
    client = connect(clickhouse)
    sql = f"SELECT {COLUMNS} FROM steps WHERE run_id = 'bench' ORDER BY run_id, agent_id, attempt, seq"  # noqa: S608
    with answer(client, Question(sql, "RowBinary")) as found:
        assert sum(map(len, found.pieces())) > records * size
    client.close()
    return records * size


def source(name: StoreName, shuffle: int, kafka: KafkaSettings, clickhouse: ClickHouseSettings, *_: int) -> int:
    """Read batches."""
    total, steps = 0.0, 0
    with Source(RUN, store=name, batch=BATCH, shuffle=shuffle, settings=kafka, clickhouse=clickhouse) as batches:
        for rows in batches:
            total += float(rows.reward.sum()) + rows.observation[0, 0] + rows.action[0]
            steps += len(rows)
    return steps


def episodes(name: StoreName, kafka: KafkaSettings, clickhouse: ClickHouseSettings, *_: int) -> int:
    """Read whole episodes."""
    with Source(RUN, store=name, unit="episodes", settings=kafka, clickhouse=clickhouse) as found:
        return sum(len(episode.rows) for episode in found if episode.observations[0, 0] < 1e9)


KINDS: dict[str, Callable[[KafkaSettings, ClickHouseSettings, int, int], int]] = {
    "bare kafka": bare_kafka,
    "kafka": partial(source, "kafka", 0),
    "kafka shuffled": partial(source, "kafka", WINDOW),
    "kafka episodes": partial(episodes, "kafka"),
    "bare clickhouse": bare_clickhouse,
    "clickhouse": partial(source, "clickhouse", 0),
    "clickhouse shuffled": partial(source, "clickhouse", WINDOW),
    "clickhouse episodes": partial(episodes, "clickhouse"),
}


def measure(kind: str, kafka: KafkaSettings, clickhouse: ClickHouseSettings, records: int, size: int) -> float:
    """Return the steps a second that a process of its own measured."""
    where = [kafka.bootstrap_servers, clickhouse.url, clickhouse.user, clickhouse.database]
    argv = [sys.executable, __file__, "--measure", kind, *where, str(records), str(size)]
    env = {**os.environ, "BENCH_PASSWORD": clickhouse.password.reveal()}
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=env)
    return float(done.stdout)


def measured(kind: str, *where: str) -> float:
    """Measure in this process."""
    servers, url, user, database, records, size = where
    clickhouse = ClickHouseSettings(url, user, Secret(os.environ["BENCH_PASSWORD"]), database)
    begin = time.perf_counter()
    steps = KINDS[kind](KafkaSettings(servers), clickhouse, int(records), int(size))
    return steps / (time.perf_counter() - begin)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=256, help="steps of a record")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", nargs=7, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(measured(*args.measure))
        return
    with tempfile.TemporaryDirectory() as folder, engines(Path(folder)) as (kafka, clickhouse):
        fill(kafka, clickhouse, args.records, args.size)
        rounds = [
            {kind: measure(kind, kafka, clickhouse, args.records, args.size) for kind in KINDS}
            for _ in range(args.rounds)
        ]
    results = {
        kind: {
            "steps_per_s": statistics.median(r[kind] for r in rounds),
            "of_bare": statistics.median(r[kind] / r[f"bare {kind.removeprefix('bare ').split()[0]}"] for r in rounds),
        }
        for kind in KINDS
    }
    if args.json:
        print(json.dumps({"load": os.getloadavg(), "results": results}))
        return
    print(f"{'':20s} {'steps/s':>14s} {'of bare':>8s}   load {os.getloadavg()[0]:.1f}")
    for kind, found in results.items():
        print(f"{kind:20s} {found['steps_per_s']:14,.0f} {found['of_bare']:8.3f}")


if __name__ == "__main__":
    main()

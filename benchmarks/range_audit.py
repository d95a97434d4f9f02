"""Measures records a second that `runbus audit --ranges` checks, by the steps in a record.

Method: a topic of `--partitions` partitions is filled with `--records` records for each size in `--sizes` (4 float32
values an observation, lz4), and the same records are stored in ClickHouse under their offsets, before anything is
measured. Then the topic is audited `--rounds` times from end to end: every record is read from the log and its header
decoded, every row is counted by ClickHouse. Every audit must find all records stored and nothing else. Printed are the
median records and rows a second, the processor time of this program a record, and how much its memory has grown since
before the first audit. Engines are the local ones, on this machine, so broker and engine share its processors.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from clickhouse_connect.driver.client import Client
from confluent_kafka import Producer

from runbus.audit.range_audit import RangeAudit
from runbus.audit.verdicts import Verdict
from runbus.clickhouse.client import connect
from runbus.clickhouse.deduplication import insert_settings
from runbus.clickhouse.installation import Installation
from runbus.clickhouse.tables import STEPS
from runbus.kafka.admin import apply_topics, topic_id
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import stream_key
from runbus.schemas.avsc import schema
from runbus.schemas.batch import encode
from runbus.schemas.codec import SINGLE_OBJECT_SIZE, Codec
from runbus.sink.container import Container
from setup.engines import engines
from setup.steps import random_walk

RANGE_STEPS = 250_000


@dataclass(frozen=True, slots=True)
class Result:
    """One audit of records of `size` steps; memory is in MiB."""

    size: int
    records_per_second: float
    rows_per_second: float
    cpu_us_per_record: float
    memory_grown: float


def value(agent: str, first: int, size: int) -> bytes:
    """Return `size` steps of a random walk, framed."""
    return Codec().frame("steps", schema("StepBatch"), encode(random_walk("run", agent, first, size)))


def fill(kafka: KafkaSettings, client: Client, partition: int, count: int, size: int) -> None:
    """Put records of one stream on a partition, and into ClickHouse under their offsets."""
    name, agent = f"{kafka.topic_prefix}steps", f"agent-{partition}"
    producer = Producer(
        {**kafka.client_config(), "enable.idempotence": True, "compression.type": "lz4", "linger.ms": 5}
    )
    id_, per_range = topic_id(kafka, name), max(1, RANGE_STEPS // size)
    for start in range(0, count, per_range):
        values = [
            (n, value(agent, n * size, size), SINGLE_OBJECT_SIZE) for n in range(start, min(start + per_range, count))
        ]
        for _, framed, _ in values:
            producer.produce(name, key=stream_key("run", agent), value=framed, partition=partition)
            producer.poll(0)
        assert producer.flush(60) == 0
        container = bytes(Container(schema("StepBatch"), id_, partition, values))
        settings = insert_settings(client, f"{id_}:{partition}:{start}")
        client.raw_insert(STEPS.landing, insert_block=container, fmt="Avro", settings=settings)


def measure(installation: Installation, records: int, size: int) -> Result:
    """Audit the topic once."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    audit = RangeAudit(installation, [STEPS])
    for _ in audit.findings():
        pass
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    total = audit.total
    assert total.offsets == {Verdict.STORED: records}, total
    assert total.rows[Verdict.STORED] == records * size
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    grown = (after.ru_maxrss - before.ru_maxrss) / 1024
    return Result(size, records / seconds, records * size / seconds, cpu / records * 1e6, grown)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=60_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 8])
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    each = args.records // args.partitions
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as name, engines(Path(name)) as (servers, clickhouse):
        client = connect(clickhouse)
        for size in args.sizes:
            kafka = KafkaSettings(servers.bootstrap_servers, topic_prefix=f"bench{size}.")
            apply_topics(kafka, partitions=args.partitions)
            client.command("TRUNCATE TABLE steps")
            for partition in range(args.partitions):
                fill(kafka, client, partition, each, size)
            installation = Installation(kafka, clickhouse, Codec(), "bench")
            results += [measure(installation, each * args.partitions, size) for _ in range(args.rounds)]
        client.close()
    if args.json:
        print(json.dumps([asdict(r) for r in results]))
        return
    for size in args.sizes:
        for key in ("records_per_second", "rows_per_second", "cpu_us_per_record", "memory_grown"):
            found = [getattr(r, key) for r in results if r.size == size]
            rounds = ", ".join(f"{value:,.1f}" for value in found)
            print(f"{size:4} steps a record: {key:20} {statistics.median(found):14,.1f}   rounds: {rounds}")


if __name__ == "__main__":
    main()

"""Measures seconds from a start of a stream app to `/ready`, with `--streams` open streams, and after a day of work.

Method, for each app: topics of `--partitions` partitions with their own configuration, on a broker of the local stack.
Every stream sends one record (a reset and seven steps: one open episode each). A worker takes them, commits, and is
SIGKILLed; its state topic has each key once: `fresh`. It is started again `--rounds` times under the same instance id,
each time SIGKILLed, and the time from its start (the interpreter's included) to the first 200 of `/ready` is taken;
printed are medians, beside the part that takes the partitions over, and the records that it had to read back.

Then the state topic gets what `--hours` of work write into it, and the same is measured: `worked`. Every stream sends a
batch in turn, `--batches` a second in all; a commit of a partition (every 0.2 s by episodes, every 1 s by live-metrics)
has one record for each stream that changed, and the position. Besides, `--churn` streams come, write as often as the
others, are over and are forgotten: tombstones. How the day is scaled: all but the last round over the streams is
written as fast as the broker takes it, values of the app's size, for compaction removes them whatever they say. The
last round is the app's own core, state and transactions, commit by commit, because these records stay. Then the broker
compacts by itself until it finds nothing more to do, as it always has at such a rate; and then comes a minute of work
in real time, because it is what is young that is not compacted. What is scaled is only time, and that makes it harder:
all tombstones of the day are younger than the ten minutes for which the topic keeps them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from runbus.episodes.finaliser import EpisodesCore
from runbus.kafka import model
from runbus.kafka.admin import apply_topics
from runbus.kafka.partitioner import partition_of
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import stream_key
from runbus.live_metrics.core import LiveMetricsCore
from runbus.local.ports import free_port
from runbus.schemas.avsc import schema
from runbus.schemas.batch import BatchHeader, StepBatch, StepColumns, encode
from runbus.schemas.codec import Codec
from runbus.schemas.layout import Layout
from runbus.streams import kafka
from runbus.streams.api import At, Change, Core
from runbus.streams.shard import FENCE_KEY, POSITION_KEY
from setup.engines import broker

STEPS = 8  # of a record
ATTEMPT = 1_790_000_000_000_000
DEADLINE_S = 600.0


@dataclass(frozen=True, slots=True)
class App:
    """One app: its module, its core, and how often it commits."""

    kind: str
    module: str
    core: Any
    commit_s: float


APPS = (
    App("episodes", "runbus.episodes", EpisodesCore, 0.2),
    App("live-metrics", "runbus.live_metrics", lambda: LiveMetricsCore(""), 1.0),
)


# --- the log ----------------------------------------------------------------------------------------------------------


def ids(number: int) -> tuple[str, str]:
    """Return run and agent of a stream."""
    return f"run-{number // 100:05d}", f"agent-{number % 100:03d}"


def batch(number: int, first: int) -> StepBatch:
    """Return a stream's next steps, of an episode that stays open."""
    seq = np.arange(first, first + STEPS)
    columns = StepColumns(
        env=np.zeros(STEPS, "<i4"),
        episode=np.zeros(STEPS, "<i8"),
        step=seq.astype("<i4"),
        ts=(ATTEMPT + seq * 20_000 + number).astype("<i8"),
        reward=np.sin(seq * (number + 1)).astype("<f8"),
        terminated=np.zeros(STEPS, "u1"),
        truncated=np.zeros(STEPS, "u1"),
    )
    header = BatchHeader(*ids(number), ATTEMPT, first, STEPS, 0, 1, Layout("<i8", (), 8), Layout("<f4", (4,), 16))
    return StepBatch(header, columns, seq.astype("<i8").tobytes(), np.repeat(seq, 4).astype("<f4").tobytes())


def produce(settings: KafkaSettings, records: Iterable[tuple[str, bytes, bytes | None, int]]) -> int:
    """Write records (topic, key, value, partition or -1) as fast as the broker takes them; return how many."""
    producer = Producer(
        {**settings.client_config(), "compression.type": "lz4", "linger.ms": 20, "partitioner": "murmur2"}
    )
    number = 0
    for number, (topic, key, value, partition) in enumerate(records, 1):
        while True:
            try:
                producer.produce(topic, value, key, partition)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 1000 == 0:
            producer.poll(0)
    assert producer.flush(120) == 0
    return number


def read(settings: KafkaSettings, topic: str) -> list[tuple[int, bytes, bytes | None]]:
    """Return (partition, key, value) of everything that is in a topic."""
    config = {"group.id": "bench-read", "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer({**settings.client_config(), **config})
    left = set(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in left])
    found: list[tuple[int, bytes, bytes | None]] = []
    while left:
        for message in consumer.consume(10_000, 1.0):
            error = message.error()
            if error is None:
                found.append((message.partition() or 0, message.key() or b"", message.value()))
            elif error.code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition() or 0)
    consumer.close()
    return found


# --- the worker -------------------------------------------------------------------------------------------------------


class Worker:
    """A worker of an app; `ready_s` is how long it took."""

    def __init__(self, app: App, settings: KafkaSettings, folder: Path) -> None:
        port = free_port()
        env = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
            "RUNBUS_TOPIC_PREFIX": settings.topic_prefix,
            "RUNBUS_STREAMS_INSTANCE_ID": "one",
            "RUNBUS_PROBES_ADDRESS": f"127.0.0.1:{port}",
        }
        self._log = folder / f"{app.kind}.log"
        started = time.perf_counter()
        with self._log.open("wb") as output:
            self.process = subprocess.Popen([sys.executable, "-m", app.module], env=env, stdout=output, stderr=output)
        while not _is_ready(port):
            if self.process.poll() is not None or time.perf_counter() - started > DEADLINE_S:
                raise RuntimeError(self._log.read_text()[-2000:])
            time.sleep(0.02)
        self.ready_s = time.perf_counter() - started

    @property
    def opened(self) -> tuple[int, float]:
        """How many streams it took back, and how many seconds that took."""
        found = re.findall(r"streams\.opened.*seconds=([\d.]+).*'streams': (\d+)", self._log.read_text())
        return sum(int(streams) for _, streams in found), max(float(seconds) for seconds, _ in found)

    def kill(self) -> None:
        """SIGKILL it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=60) as answer:
            return bool(answer.status == 200)
    except (urllib.error.HTTPError, OSError):
        return False


def until_taken(app: App, settings: KafkaSettings, records: int, partitions: int) -> None:
    """Wait until a group has committed all records."""
    group = {"group.id": settings.topic_prefix + app.kind, "enable.auto.commit": False}
    cursor, end = Consumer({**settings.client_config(), **group}), time.monotonic() + DEADLINE_S
    asked = [TopicPartition(f"{settings.topic_prefix}steps", p) for p in range(partitions)]
    while sum(max(int(found.offset), 0) for found in cursor.committed(asked, timeout=30)) < records:
        if time.monotonic() > end:
            raise TimeoutError("the app does not come to the end of the log")
        time.sleep(0.2)
    cursor.close()


# --- a day of work ----------------------------------------------------------------------------------------------------

State = dict[int, dict[bytes, bytes]]  # partition -> key -> value


@dataclass(frozen=True, slots=True)
class Day:
    """The work to write: streams that go on, streams that come and go, batches a second, hours."""

    streams: int
    churn: int
    batches: int
    hours: float

    @property
    def rounds(self) -> int:
        """How often each stream writes."""
        return max(2, round(self.hours * 3600 * self.batches / (self.streams + self.churn)))


def early(app: App, topic: str, day: Day, state: State) -> Iterator[tuple[str, bytes, bytes | None, int]]:
    """Yield all records but those of the last round: values of the right size, in the order of the commits."""
    dice = random.Random(1)
    there = [(p, key, value) for p, mine in state.items() for key, value in mine.items() if key != POSITION_KEY]
    gone = [(p, b"gone-" + key, value) for p, key, value in there[: day.churn]]
    committed, now = dict.fromkeys(state, 0.0), 0.0
    for number in reversed(range(day.rounds - 1)):
        writers = there + gone
        dice.shuffle(writers)
        for partition, key, value in writers:
            now += 1 / day.batches
            if now - committed[partition] >= app.commit_s:
                committed[partition] = now
                yield topic, POSITION_KEY, state[partition][POSITION_KEY], partition
            over = number == 0 and key.startswith(b"gone-")
            yield topic, key, None if over else dice.randbytes(16) + value[16:], partition


class Writer:
    """Writes as the app does for one partition, from its state on: its core, and a transaction a commit."""

    def __init__(self, app: App, settings: KafkaSettings, day: Day, partition: int, state: State) -> None:
        self._app, self._settings, self._partition = app, settings, partition
        self._topic = f"{settings.topic_prefix}{app.kind}-state-changelog"
        self._position = state[partition][POSITION_KEY]
        self._core: Core = app.core()
        for key, value in state[partition].items():
            if key != POSITION_KEY:
                self._core.restore(key, value)
        saved = json.loads(self._position)
        self._at = At(saved["next_offset"] - 1, saved["watermark_ms"], saved["watermark_ms"] * 1000)
        self._streams = [n for n in range(day.streams) if partition_of(stream_key(*ids(n)), len(state)) == partition]
        random.Random(partition).shuffle(self._streams)
        self._a_commit = max(1, round(day.batches / len(state) * app.commit_s))

    async def round(self, first_seq: int, seconds: float = 0.0) -> None:
        """Let every stream write once; with `seconds` in real time, as far as it comes in these."""
        partition = model.TopicPartition(f"{self._settings.topic_prefix}steps", self._partition)
        transactions = kafka.Transactions(self._settings, self._settings.topic_prefix + self._app.kind, partition)
        await transactions.open()
        started = time.monotonic()
        for number, first in enumerate(range(0, len(self._streams), self._a_commit)):
            if seconds:
                await asyncio.sleep(max(0.0, started + number * self._app.commit_s - time.monotonic()))
            if seconds and time.monotonic() - started > seconds:
                break
            for stream in self._streams[first : first + self._a_commit]:
                self._core.apply(batch(stream, first_seq), self._at)
            changes = [*self._core.changes(), Change(POSITION_KEY, self._position)]
            written = [kafka.Message(self._topic, change.key, change.value, self._partition) for change in changes]
            await transactions.commit(written, None)
        await transactions.close()


async def late(writers: Sequence[Writer], data: Path) -> None:
    """Write the last round; let the broker compact; work for a minute."""
    await asyncio.gather(*(writer.round(STEPS) for writer in writers))
    await asyncio.to_thread(until_compacted, data)
    await asyncio.gather(*(writer.round(2 * STEPS, 60.0) for writer in writers))


def until_compacted(data: Path) -> None:
    """Wait until the broker's cleaner has found nothing to do for a while, longer than a segment stays open."""
    checkpoint, quiet_since, last = data / "cleaner-offset-checkpoint", time.monotonic(), ""
    while time.monotonic() - quiet_since < 65:
        time.sleep(1)
        said = checkpoint.read_text() if checkpoint.exists() else ""
        if said != last:
            quiet_since, last = time.monotonic(), said


# --- one app ----------------------------------------------------------------------------------------------------------


def restarts(app: App, settings: KafkaSettings, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Return the seconds of restarts, and the size of what they read back."""
    seconds, taking = [], []
    for _ in range(args.rounds):
        worker = Worker(app, settings, folder)
        streams, takeover_s = worker.opened
        assert streams == args.streams, f"{streams} of {args.streams} streams came back"
        seconds.append(worker.ready_s)
        taking.append(takeover_s)
        worker.kill()
    there = read(settings, f"{settings.topic_prefix}{app.kind}-state-changelog")
    return {
        "seconds": statistics.median(seconds),
        "takeover": statistics.median(taking),
        "rounds": seconds,
        "read_back": len(there),
        "mib": sum(len(key) + len(value or b"") for _, key, value in there) / 2**20,
        "tombstones": sum(value is None for _, _, value in there),
    }


def measure(app: App, servers: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Measure one app, on topics of its own."""
    settings = KafkaSettings(bootstrap_servers=servers, topic_prefix=f"{app.kind}.")
    apply_topics(settings, partitions=args.partitions)
    frame, topic = Codec().frame, f"{settings.topic_prefix}{app.kind}-state-changelog"
    values = ((stream_key(*ids(n)), frame("", schema("StepBatch"), encode(batch(n, 0)))) for n in range(args.streams))
    produce(settings, ((f"{settings.topic_prefix}steps", key, value, -1) for key, value in values))
    worker = Worker(app, settings, folder)
    until_taken(app, settings, args.streams, args.partitions)
    worker.kill()
    results = {"fresh": restarts(app, settings, folder, args)}
    day = Day(args.streams, args.churn, args.batches, args.hours)
    state: State = {partition: {} for partition in range(args.partitions)}
    for partition, key, value in read(settings, topic):
        if key != FENCE_KEY and value is not None:
            state[partition][key] = value
    written = produce(settings, early(app, topic, day, state))
    asyncio.run(late([Writer(app, settings, day, partition, state) for partition in state], folder / "kafka" / "data"))
    results["worked"] = {**restarts(app, settings, folder, args), "written": written + args.streams}
    return results


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=100_000)
    parser.add_argument("--churn", type=int, default=20_000, help="streams that come and are forgotten")
    parser.add_argument("--batches", type=int, default=100, help="a second, all streams together")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--partitions", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--apps", nargs="+", default=[app.kind for app in APPS])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as name, broker(Path(name)) as found:
        for app in APPS:
            if app.kind in args.apps:
                results[app.kind] = measure(app, found.bootstrap_servers, Path(name), args)
    if args.json:
        print(json.dumps({"load": os.getloadavg(), "results": results}))
        return
    for kind, both in results.items():
        for state, r in both.items():
            took = f"{r['seconds']:6.2f} s, taking over {r['takeover']:6.2f} s"
            print(f"{kind:13s} {state:7s} {took}  {r['read_back']:10,d} records  {r['mib']:7.1f} MiB")
        print(f"{kind:13s} ratio   {both['worked']['seconds'] / both['fresh']['seconds']:6.2f}")


if __name__ == "__main__":
    main()

"""Counts what SIGKILLs and rebalances under a backlog cost a stock Faust table app, and what they cost our engine.

Method: `--records` records under `--keys` keys, in a topic of 4 partitions. `stock` is the plainest table app of Faust
that could be exact: it counts the records of each key, with `noack()` and an `ack()` after the table was written,
memory store, one agent, a crashing supervisor, and the offset of the newest record beside each count so that a record
that comes again is not counted again; settings as measured to be the best (docs/decisions/0008). `engine` is our engine
with a core that counts the same. Each is treated alike: a share of the records is written, a worker starts, works on
the backlog for a random moment and is SIGKILLed, `--kills` times; every second life a second worker joins the loaded
one while more is written, and leaves by SIGTERM or is killed. Then one worker takes the rest. Counted from the newest
value of each key in the state's topic: records that are missing, and records too much.

`held` shows the cause without chance: the stock app, killed once, and a pause of two seconds at the point where Faust,
at the end of a recovery, has resumed its partitions and has not yet called `flow_control.resume()`; while it lasts the
agent takes a millisecond a record, as one that waits for something. `thrown away` is what the queues held when they
were cleared, taken from the queues themselves, in `stock` as well. What was delivered before the seek comes again. For
the rest Faust commits nothing of the partition any more, until the worker is started again (`stuck`): then the records
come again, older than what the table has of their keys.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import EPISODES_STATE, stream_key
from runbus.schemas.avsc import schema
from runbus.schemas.batch import BatchHeader, StepBatch, StepColumns, encode
from runbus.schemas.codec import Codec
from runbus.streams.shard import FENCE_KEY, POSITION_KEY
from setup.engines import broker

WORKER = Path(__file__).parent / "workers" / "counting.py"
PARTITIONS = 4
DEADLINE_S = 300.0
STUCK_S = 60.0
STATE = {"cleanup.policy": "compact"}


@dataclass(frozen=True, slots=True)
class Lost:
    """The result of one run.

    Attributes:
        kills, joins: SIGKILLs, and workers that joined a loaded one.
        stuck: how often the last worker committed nothing more, with records left, and had to be started again.
        missing, double: records in the end.
        thrown_away: records in the queues when they were cleared.
    """

    records: int
    kills: int
    joins: int
    stuck: int
    missing: int
    double: int
    thrown_away: int
    seconds: float


# --- one run ----------------------------------------------------------------------------------------------------------


class Run:
    """The topics, the group and the workers of one run."""

    def __init__(self, kind: str, settings: KafkaSettings, folder: Path) -> None:
        self.kind, self.settings, self._folder = kind, settings, folder
        self.prefix = settings.topic_prefix
        group = f"{self.prefix}episodes" if kind == "engine" else f"{self.prefix}stock"
        self.source = f"{self.prefix}{'steps' if kind == 'engine' else 'records'}"
        changelog = EPISODES_STATE.name if kind == "engine" else "stock-counts-changelog"
        self.changelog = f"{self.prefix}{changelog}"
        config = {**settings.client_config(), "group.id": group, "enable.auto.commit": False, "log_level": 0}
        self._cursor = Consumer(config)  # asks for offsets; it does not join
        self._started: list[subprocess.Popen[bytes]] = []

    def prepare(self) -> None:
        """Create the topics."""
        if self.kind == "engine":
            apply_topics(self.settings, partitions=PARTITIONS)
            return
        admin = AdminClient({**self.settings.client_config()})
        made = [NewTopic(self.source, PARTITIONS, 1), NewTopic(self.changelog, PARTITIONS, 1, config=STATE)]
        for done in admin.create_topics(made).values():
            done.result(30)

    def write(self, numbers: Iterable[int], keys: int) -> None:
        """Write records, the keys in turn."""
        producer = Producer({**self.settings.client_config(), "partitioner": "murmur2", "linger.ms": 20})
        for number in numbers:
            key, value = self._record(number % keys, number // keys)
            while True:
                with contextlib.suppress(BufferError):
                    producer.produce(self.source, key=key, value=value)
                    break
                producer.poll(0.1)
            producer.poll(0)
        assert producer.flush(60) == 0

    def _record(self, key: int, seq: int) -> tuple[bytes, bytes]:
        agent = f"agent-{key:04d}"
        if self.kind != "engine":
            return stream_key("run", agent), b"x"
        one = np.zeros(1, "u1")
        columns = StepColumns(
            env=one.astype("<i4"),
            episode=one.astype("<i8"),
            step=np.full(1, seq, "<i4"),
            ts=np.full(1, seq, "<i8"),
            reward=np.ones(1),
            terminated=one,
            truncated=one,
        )
        body = encode(StepBatch(BatchHeader("run", agent, 1, seq, 1, 0, 0), columns))
        return stream_key("run", agent), Codec().frame("", schema("StepBatch"), body)

    def start(self, instance: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        argv = [sys.executable, str(WORKER), self.kind, self.settings.bootstrap_servers, self.prefix, instance]
        with (self._folder / f"{self.prefix}{len(self._started)}.log").open("wb") as output:
            self._started.append(subprocess.Popen(argv, stdout=output, stderr=output))
        return self._started[-1]

    def committed(self) -> int:
        """Return how many records the group has committed."""
        with contextlib.suppress(KafkaException):
            asked = [TopicPartition(self.source, p) for p in range(PARTITIONS)]
            return sum(max(int(found.offset), 0) for found in self._cursor.committed(asked, timeout=10))
        return 0

    def until(self, records: int) -> None:
        """Wait until the group has committed that many."""
        end = time.monotonic() + DEADLINE_S
        while self.committed() < records:
            if time.monotonic() > end or all(process.poll() is not None for process in self._started):
                raise TimeoutError(f"{self.kind} is stuck at {self.committed()}; its logs:\n{self._logs()[-3000:]}")
            time.sleep(0.05)

    def counts(self) -> dict[bytes, int]:
        """Return the newest count of each key, as any reader of committed records sees it."""
        consumer = Consumer(
            {**self.settings.client_config(), "group.id": "read", "enable.partition.eof": True, "log_level": 0}
        )
        consumer.assign([TopicPartition(self.changelog, p, 0) for p in range(PARTITIONS)])
        left, found = set(range(PARTITIONS)), dict[bytes, int]()
        while left:
            for message in consumer.consume(10_000, 1.0):
                error, key, value = message.error(), message.key(), message.value()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition() or 0)
                elif key is not None and value is not None and key not in (POSITION_KEY, FENCE_KEY):
                    found[key] = json.loads(value)[0]
        consumer.close()
        return found

    def thrown_away(self) -> int:
        """Return how many records were in the queues when they were cleared."""
        return sum(map(int, re.findall(r"thrown away: (\d+)", self._logs())))

    def _logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self._folder.glob(f"{self.prefix}*.log")))

    def end(self) -> None:
        """Let every worker leave."""
        for process in self._started:
            stop(process)
        self._cursor.close()


def stop(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM, and SIGKILL if that does not help."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def kill_it(run: Run, args: argparse.Namespace, kills: int, dice: random.Random) -> tuple[int, int]:
    """Let workers start, work and be killed, a second one joining every second life; return kills and joins."""
    killed = joins = lives = 0
    shares = np.array_split(np.arange(args.records), 2 * kills + 2)
    while killed < kills:
        run.write(shares[2 * lives].tolist(), args.keys)
        seen, one, two = run.committed(), run.start("one"), None
        run.until(seen + 1)
        if lives % 2:
            two, joins = run.start("two"), joins + 1
        run.write(shares[2 * lives + 1].tolist(), args.keys)
        if two is not None:
            time.sleep(dice.uniform(2.0, 5.0))  # it joins, recovers, and works beside the first
        time.sleep(dice.uniform(0.0, 1.0))  # the moment is random, that is the point
        for process in (one, two) if dice.random() < 0.5 else (two, one):
            if process is None:
                continue
            if process is two and dice.random() < 0.5:
                stop(process)
            else:
                process.kill()
                process.wait()
                killed += 1
        lives += 1
    run.write(np.concatenate(shares[2 * lives :]).tolist(), args.keys)
    return killed, joins


def finish(run: Run, records: int) -> int:
    """Let one worker take the rest; return how often it stood still and was started again."""
    stuck, worker = 0, run.start("one")
    seen, since = run.committed(), time.monotonic()
    while seen < records:
        time.sleep(0.2)
        if (now := run.committed()) > seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > STUCK_S:
            worker.kill()
            worker.wait()
            stuck, worker, since = stuck + 1, run.start("one"), time.monotonic()
    return stuck


def measure(kind: str, settings: KafkaSettings, folder: Path, args: argparse.Namespace, seed: int) -> Lost:
    """Run one kind once."""
    run, kills = Run(kind, settings, folder), 1 if kind == "held" else args.kills
    run.prepare()
    started = time.monotonic()
    killed, joins = kill_it(run, args, kills, random.Random(seed))
    stuck = finish(run, args.records)
    run.end()
    found = run.counts()
    wanted = {stream_key("run", f"agent-{k:04d}"): len(range(k, args.records, args.keys)) for k in range(args.keys)}
    return Lost(
        args.records,
        killed,
        joins,
        stuck,
        missing(wanted, found),
        missing(found, wanted),
        run.thrown_away(),
        seconds=round(time.monotonic() - started, 1),
    )


def missing(wanted: Mapping[bytes, int], found: Mapping[bytes, int]) -> int:
    """Return how many records of the one are not in the other."""
    return sum(max(0, count - found.get(key, 0)) for key, count in wanted.items())


def rounds(args: argparse.Namespace) -> Iterator[tuple[str, Lost]]:
    """Run everything, each on topics of its own, the kinds in turn."""
    with tempfile.TemporaryDirectory() as name, broker(Path(name)) as servers:
        for number in range(args.rounds):
            for kind in args.kinds:
                settings = KafkaSettings(servers.bootstrap_servers, topic_prefix=f"{kind}{number}.")
                yield kind, measure(kind, settings, Path(name), args, args.seed + number)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", default=["stock", "engine", "held"])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    for kind, lost in rounds(args):
        if args.json:
            print(json.dumps({"kind": kind, **asdict(lost), "load": os.getloadavg()[0]}), flush=True)
        else:
            print(f"{kind:7s} {lost}", flush=True)


if __name__ == "__main__":
    main()

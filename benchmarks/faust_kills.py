"""Counts what SIGKILLs cost examples/steps_per_minute.py, an app of Faust, and examples/success_rate.py, our engine's.

Method: `--records` batches of 10 steps of `--agents` agents, 4 partitions, all of them there before the apps start. A
minute has 60 steps of an agent, and an episode 6. Each app in turn is started, works for a random moment after its
first commit, and is SIGKILLed, `--kills` times; then it takes the rest. Counted from its topic, as any reader of
committed records sees it: results that are missing or wrong, and results that were said more than once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_log import open_topic
from runbus.kafka.topics import stream_key
from runbus.kafka.user_apps import all_topics, user_app
from runbus.schemas.avsc import schema
from runbus.schemas.batch import BatchHeader, StepBatch, StepColumns, encode
from runbus.schemas.codec import Codec
from setup.engines import broker

EXAMPLES = Path(__file__).parents[1] / "examples"
PARTITIONS = 4
BATCH, EPISODE, MINUTE = 10, 6, 60  # steps
START_US = 1_790_000_040_000_000  # the beginning of a minute
RUN = "run"


@dataclass(frozen=True, slots=True)
class Result:
    """What came out of one app.

    Attributes:
        wanted: results that the log asks for: minutes that are over, or ends of episodes.
        missing, wrong: of these.
        repeated: results that were said again.
    """

    kills: int
    wanted: int
    missing: int
    wrong: int
    repeated: int
    seconds: float


def write(settings: KafkaSettings, records: int, agents: int) -> None:
    """Write the steps, the agents in turn."""
    producer = Producer({**settings.producer_config(), "linger.ms": 20})
    zeros = np.zeros(BATCH, "u1")
    for number in range(records):
        agent, first = f"agent-{number % agents:03d}", number // agents * BATCH
        seq = np.arange(first, first + BATCH)
        columns = StepColumns(
            env=zeros.astype("<i4"),
            episode=(seq // EPISODE).astype("<i8"),
            step=(seq % EPISODE + 1).astype("<i4"),
            ts=(START_US + seq * 1_000_000).astype("<i8"),
            reward=(seq % 5 - 1).astype("<f8"),
            terminated=(seq % EPISODE == EPISODE - 1).astype("u1"),
            truncated=zeros,
        )
        value = encode(StepBatch(BatchHeader(RUN, agent, 1, first, BATCH, 0, 0), columns))
        framed = Codec().frame("", schema("StepBatch"), value)
        producer.produce(settings.topic_prefix + "steps", framed, stream_key(RUN, agent))
        producer.poll(0)
    assert producer.flush(60) == 0


def steps_of(records: int, agents: int, agent: int) -> int:
    """Return how many steps an agent has."""
    return len(range(agent, records, agents)) * BATCH


def minutes(records: int, agents: int) -> dict[tuple[str, int], object]:
    """Return the steps of each minute that is over."""
    first = START_US // 60_000_000
    return {
        (f"{RUN}/agent-{agent:03d}", first + minute): MINUTE
        for agent in range(agents)
        for minute in range((steps_of(records, agents, agent) - 1) // MINUTE)
    }


def successes(records: int, agents: int) -> dict[tuple[str, int], object]:
    """Return the successes at each end of an episode."""
    found: dict[tuple[str, int], object] = {}
    for agent in range(agents):
        ends = [seq % 5 > 1 for seq in range(EPISODE - 1, steps_of(records, agents, agent), EPISODE)]
        for number in range(1, len(ends) + 1):
            found[f"agent-{agent:03d}", number] = sum(ends[max(0, number - 100) : number])
    return found


def said_minute(message: Message) -> tuple[tuple[str, int], object]:
    """Return what a record of the Faust app says."""
    said = json.loads(message.value() or b"")
    return (said["agent"], said["minute"]), said["steps"]


def said_rate(message: Message) -> tuple[tuple[str, int], object]:
    """Return what a record of the core says."""
    said = json.loads(message.value() or b"")
    return (said["agent"], said["episodes"]), said["successes"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One app: how it runs, its group and its topic, and what must be there."""

    command: tuple[str, ...]
    group: str
    topic: str
    wanted: Callable[[int, int], dict[tuple[str, int], object]]
    said: Callable[[Message], tuple[tuple[str, int], object]]


FAUST = "faust.steps-per-minute"
KINDS = {
    "faust": Kind((str(EXAMPLES / "steps_per_minute.py"),), FAUST, f"{FAUST}-counts", minutes, said_minute),
    "core": Kind(
        ("-m", "runbus.cli", "stream-app", "success_rate:app"), "success-rate", "success-rate", successes, said_rate
    ),
}


class Worker:
    """The process of an app, and how far its group is."""

    def __init__(self, kind: Kind, settings: KafkaSettings, log: Path) -> None:
        self._kind, self._settings, self._log = kind, settings, log
        config = {**settings.client_config(), "group.id": settings.topic_prefix + kind.group, "log_level": 0}
        self._cursor = Consumer(config)
        self._partitions = [TopicPartition(f"{settings.topic_prefix}steps", p) for p in range(PARTITIONS)]

    def start(self) -> subprocess.Popen[bytes]:
        """Start it."""
        environ = {
            "KAFKA_BOOTSTRAP_SERVERS": self._settings.bootstrap_servers,
            "RUNBUS_TOPIC_PREFIX": self._settings.topic_prefix,
            "RUNBUS_STREAMS_INSTANCE_ID": "one",
        }
        with self._log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, *self._kind.command],
                env={**os.environ, **environ},
                cwd=EXAMPLES,
                stdout=output,
                stderr=output,
            )

    def committed(self) -> int:
        """Return how many records its group has committed."""
        with contextlib.suppress(KafkaException):  # a coordinator that moves: asked again
            return sum(max(int(p.offset), 0) for p in self._cursor.committed(self._partitions, timeout=10))
        return 0

    def until(self, records: int, process: subprocess.Popen[bytes]) -> None:
        """Wait for that many."""
        while self.committed() < records:
            if process.poll() is not None:
                raise RuntimeError(self._log.read_text()[-3000:])
            time.sleep(0.02)

    def close(self) -> None:
        """Close the client."""
        self._cursor.close()


def measure(kind: Kind, settings: KafkaSettings, log: Path, args: argparse.Namespace, dice: random.Random) -> Result:
    """Run one app."""
    apply_topics(settings, PARTITIONS, topics=all_topics((user_app("success-rate"),)))
    write(settings, args.records, args.agents)
    worker, began, kills = Worker(kind, settings, log), time.monotonic(), 0
    for _ in range(args.kills):
        process, seen = worker.start(), worker.committed()
        if seen < args.records:
            worker.until(seen + 1, process)
            time.sleep(dice.uniform(0.0, args.moment))  # the moment is random, that is the point
            kills += 1
        process.kill()
        process.wait()
    process = worker.start()
    worker.until(args.records, process)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    worker.close()
    return compared(kind, settings, args, kills, time.monotonic() - began)


def compared(kind: Kind, settings: KafkaSettings, args: argparse.Namespace, kills: int, seconds: float) -> Result:
    """Return what is there against what must be."""
    wanted = kind.wanted(args.records, args.agents)
    said: dict[tuple[str, int], object] = {}
    count = 0
    with open_topic(settings, kind.topic, "benchmark") as topic:
        for message in topic.records():
            key, value = kind.said(message)
            said[key], count = value, count + 1
    wrong = sum(said[key] != value for key, value in wanted.items() if key in said)
    return Result(kills, len(wanted), len(wanted.keys() - said), wrong, count - len(said), round(seconds, 1))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--moment", type=float, default=1.0, help="longest time between a commit and a kill, seconds")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, broker(Path(name)) as servers:
        for number in range(args.rounds):
            for kind, what in KINDS.items():
                settings = KafkaSettings(servers.bootstrap_servers, topic_prefix=f"{kind}{number}.")
                found = measure(what, settings, Path(name, f"{kind}.log"), args, random.Random(args.seed + number))
                if args.json:
                    print(json.dumps({"kind": kind, **asdict(found), "load": os.getloadavg()[0]}), flush=True)
                else:
                    print(f"{kind:6s} {found}", flush=True)


if __name__ == "__main__":
    main()

"""What is written to the log while processes die: steps, metrics, run events, heartbeats, and episodes in transactions.

It knows what it wrote: nothing is given up when the broker dies, everything is acknowledged before `finish` returns.
What stands in a step follows from its `seq`.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException, Producer

from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import run_event_key, stream_key
from runbus.schemas import metric_batch
from runbus.schemas.avsc import schema
from runbus.schemas.batch import encode
from runbus.schemas.codec import Codec
from runbus.schemas.events import EpisodeFinalized, Event, Heartbeat, RunEvent
from runbus.schemas.metric_batch import MetricHeader
from tests.integration.sink.sink_processes import make_batch
from tests.support.batches import make_metrics

AGENTS = tuple(f"agent-{i}" for i in range(12))
SOURCE = "learner-0"
SMALLEST, LARGEST = 8, 80  # steps of a batch, or values
_TRY_S = 5.0  # one call of the transactional producer; it is repeated


@dataclass(frozen=True, slots=True)
class Rate:
    """How much is written a second: steps, and each of the other events (mean)."""

    steps: float
    events: float = 3.0


@dataclass(slots=True)
class Written:
    """What is in the log.

    Attributes:
        steps: agent -> steps, contiguous from 0.
        records: number of step batches.
        metrics: values of the only source, contiguous from 0.
        metric_records: number of batches of them.
        runs: (agent, kind) of the run events.
        beats: `sent_at` of the heartbeats, all of one component.
        episodes: id -> whether its transaction was committed; None = nobody knows, the log says it.
    """

    steps: Counter[str] = field(default_factory=Counter)
    records: int = 0
    metrics: int = 0
    metric_records: int = 0
    runs: list[tuple[str, str]] = field(default_factory=list)
    beats: list[int] = field(default_factory=list)
    episodes: dict[str, bool | None] = field(default_factory=dict)


class Traffic:
    """Writes until it is told to finish, in three threads.

    Args:
        settings: of the broker.
        rate: how fast.
        seed: of sizes, agents and outcomes.
    """

    def __init__(self, settings: KafkaSettings, rate: Rate, seed: int) -> None:
        self.run = f"soak-{uuid.uuid4().hex[:8]}"
        self.written = Written()
        self._settings = settings
        self._rate = rate
        self._seed = seed
        self._goal = 0
        self._stop = threading.Event()
        self._abandoned = False
        self._failures: list[str] = []
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), daemon=True)
            for work in (self._write_steps, self._write_events, self._write_episodes)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    @property
    def steps(self) -> int:
        """Steps written so far."""
        return sum(self.written.steps.values())

    def hurry(self, steps: int) -> None:
        """Write that many more steps as fast as it can, then go on as before."""
        self._goal = self.steps + steps

    def finish(self, at_least: int = 0) -> None:
        """Write what is missing to that many steps, at once; return when the log has acknowledged everything."""
        self._goal = at_least
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert not self._failures, self._failures[:3]

    def abandon(self) -> None:
        """Write nothing more: the test has failed, or is over."""
        self._abandoned = True
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    # --- threads --------------------------------------------------------------------------------------------------

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - `finish` raises it
            self._failures.append(repr(error))

    def _write_steps(self) -> None:
        rng, producer = random.Random(self._seed), self._producer({})
        due, sent = time.monotonic(), 0
        while not self._stop.is_set() or (sent < self._goal and not self._abandoned):
            agent, size = rng.choice(AGENTS), rng.randint(SMALLEST, LARGEST)
            first = self.written.steps[agent]
            value = _framed("StepBatch", encode(make_batch(self.run, agent, first, size)))
            self._send(producer, "steps", stream_key(self.run, agent), value)
            self.written.steps[agent] = first + size
            self.written.records += 1
            sent += size
            due = max(due + size / self._rate.steps, time.monotonic() - 1.0)
            if sent >= self._goal:
                self._stop.wait(max(0.0, due - time.monotonic()))
        self._flush(producer)

    def _write_events(self) -> None:
        rng, producer, number = random.Random(self._seed + 1), self._producer({}), 0
        while not self._stop.is_set():
            number += 1
            agent, kind = f"side-{number // 2}", ("STARTED", "FINISHED")[number % 2]
            event = RunEvent(run_id=self.run, agent_id=agent, attempt=1, kind=kind, sent_at=number, started_at=1)  # type: ignore[arg-type]
            self._send(producer, "runs", run_event_key(self.run, agent, 1), _value(event))
            self.written.runs.append((agent, kind))
            beat = Heartbeat(component_id=self.run, kind="soak", sent_at=number, started_at=1, version="0")
            self._send(producer, "heartbeats", self.run.encode(), _value(beat))
            self.written.beats.append(number)
            self._send_metrics(producer, rng.randint(SMALLEST, LARGEST))
            self._stop.wait(rng.expovariate(self._rate.events))
        self._flush(producer)

    def _send_metrics(self, producer: Producer, count: int) -> None:
        header = MetricHeader(self.run, SOURCE, 1, self.written.metrics, count, 0, 1)
        value = _framed("MetricBatch", metric_batch.encode(make_metrics(header)))
        self._send(producer, "metrics", stream_key(self.run, SOURCE), value)
        self.written.metrics += count
        self.written.metric_records += 1

    def _write_episodes(self) -> None:
        rng, number, producer = random.Random(self._seed + 2), 0, self._transactional()
        while not self._stop.is_set() and producer is not None:
            ids = [f"{self.run}-{number + i}" for i in range(rng.randint(1, 4))]
            number += len(ids)
            committed = self._transaction(producer, ids, wanted=rng.random() < 0.8)
            self.written.episodes.update(dict.fromkeys(ids, committed))
            if committed is None:
                producer = self._transactional()
            self._stop.wait(rng.expovariate(self._rate.events))

    # --- transactions ---------------------------------------------------------------------------------------------

    def _transactional(self) -> Producer | None:
        """Return a producer that has ended whatever its predecessor left open; None where the test is over."""
        while not self._abandoned:
            producer = self._producer({"transactional.id": self.run, "message.timeout.ms": 60_000})
            try:
                self._insist(lambda producer=producer: producer.init_transactions(_TRY_S))  # type: ignore[misc]
            except KafkaException:
                continue
            return producer
        return None

    def _transaction(self, producer: Producer, ids: list[str], *, wanted: bool) -> bool | None:
        """Write episodes in one transaction; return whether it was committed, None where that is not known."""
        try:
            producer.begin_transaction()
            for name in ids:
                key, value = stream_key(self.run, name), _value(_episode(self.run, name))
                producer.produce(f"{self._settings.topic_prefix}episodes", key=key, value=value)  # or none of them
            end = producer.commit_transaction if wanted else producer.abort_transaction
            self._insist(lambda: end(_TRY_S))
        except KafkaException as error:
            if not error.args[0].txn_requires_abort():
                return None
            try:
                self._insist(lambda: producer.abort_transaction(_TRY_S))
            except KafkaException:
                return None
            return False
        return wanted

    def _insist(self, call: Callable[[], object]) -> None:
        """Make a call until it is answered. Raises KafkaException where it is of no use to ask again."""
        while True:
            try:
                call()
            except KafkaException as error:
                if not error.args[0].retriable() or self._abandoned:
                    raise
            else:
                return

    # --- producers ------------------------------------------------------------------------------------------------

    def _producer(self, more: dict[str, str | int]) -> Producer:
        return Producer(
            {
                **self._settings.producer_config(),
                "compression.type": "lz4",
                "linger.ms": 5,
                "reconnect.backoff.max.ms": 1000,
                "log_level": 0,
                "message.timeout.ms": 0,  # a broker that is down is waited for
                **more,
            }
        )

    def _send(self, producer: Producer, topic: str, key: bytes, value: bytes) -> None:
        # in a transaction its outcome tells: a message that was not delivered in time is part of an abort
        on_delivery = None if topic == "episodes" else self._delivered
        while not self._abandoned:
            try:
                producer.produce(self._settings.topic_prefix + topic, key=key, value=value, on_delivery=on_delivery)
            except BufferError:
                producer.poll(0.1)
            else:
                producer.poll(0)
                return

    def _delivered(self, error: KafkaError | None, _: object) -> None:
        if error is not None:
            self._failures.append(error.str())

    def _flush(self, producer: Producer) -> None:
        while producer.flush(1) and not self._abandoned:
            pass


def _framed(record: str, body: bytes) -> bytes:
    return Codec().frame("", schema(record), body)


def _value(event: Event) -> bytes:
    return _framed(event.SCHEMA, event.encode())


def _episode(run: str, name: str) -> EpisodeFinalized:
    return EpisodeFinalized(
        id=name, revision=1, run_id=run, agent_id=name, attempt=1, env=0, episode=0, reason="terminated",
        complete=True, missing_from=[], missing_to=[], return_=1.5, length=2, first_seq=0, last_seq=2, first_ts=1,
        last_ts=2, min_reward=0.0, max_reward=1.0,
    )  # fmt: skip

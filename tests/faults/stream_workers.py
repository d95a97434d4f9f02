"""Real stream apps as processes, a producer that feeds them, and the log read back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import (
    Consumer,
    KafkaException,
    Producer,
    TopicPartition,
)

from runbus.kafka.settings import KafkaSettings
from runbus.kafka.user_apps import all_topics, user_app
from tests.faults.load import Sent

ROOT = Path(__file__).parents[2]
PARTITIONS = 4
DEADLINE_S = 60.0
SESSION_S = 3.0  # the local broker allows 1 s and more; a loaded machine should not make a living worker look dead
IDLE_S = 8.0  # longer than any stream of a load is quiet before its end, takeovers included
KINDS = ("episodes", "live-metrics")
#: The app of a user: what runs it, and the name that the installation knows.
EXAMPLE = "success-rate"
EXAMPLE_APP = user_app(EXAMPLE)
_EXAMPLE_COMMAND = ("runbus.cli", "stream-app", "examples.success_rate:app")


#: Of an installation that has the example too.
TOPICS = all_topics((EXAMPLE_APP,))


class Workers:
    """Processes of one app; whatever still runs at the end is killed."""

    def __init__(self, kind: str, settings: KafkaSettings, folder: Path, **env: str) -> None:
        self.kind = kind
        self.settings = settings
        self.started: list[subprocess.Popen[bytes]] = []
        self.kills = 0
        self._folder = folder
        self._env = {
            "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
            "RUNBUS_TOPIC_PREFIX": settings.topic_prefix,
            "RUNBUS_STREAMS_SESSION_SECONDS": str(SESSION_S),
            "RUNBUS_EPISODES_IDLE_SECONDS": str(IDLE_S),
            "PYTHONPATH": str(ROOT),
            **env,
        }

    @property
    def group(self) -> str:
        """The consumer group, which is the app's id."""
        return f"{self.settings.topic_prefix}{self.kind}"

    def start(self, instance: str = "one", *, die_at: str = "", nth: int = 1) -> subprocess.Popen[bytes]:
        """Start one; with `die_at` it kills itself at that point, see `killing.POINTS`, the nth time it comes by."""
        command = _EXAMPLE_COMMAND if self.kind == EXAMPLE else (f"runbus.{self.kind.replace('-', '_')}",)
        argv = ["-m", "tests.faults.killing", die_at, str(nth), *command] if die_at else ["-m", *command]
        with (self._folder / f"{self.kind}-{len(self.started)}.log").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *argv],
                env={**os.environ, **self._env, "RUNBUS_STREAMS_INSTANCE_ID": instance},
                cwd=self._folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.started.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL it; fail if it had ended by itself before."""
        if process.poll() is not None:
            pytest.fail(f"{self.kind} ended by itself with {process.returncode}:\n{self.log(process)[-3000:]}")
        process.kill()
        process.wait()
        self.kills += 1

    def dies(self, process: subprocess.Popen[bytes], seconds: float = DEADLINE_S) -> None:
        """Wait until it has killed itself."""
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.kind} never came to where it should die:\n{self.log(process)[-3000:]}")
        if code != -signal.SIGKILL:
            pytest.fail(f"{self.kind} ended with {code}:\n{self.log(process)[-3000:]}")
        self.kills += 1

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """SIGTERM; fail unless it ends with 0 within 30 s, or it had not come to its own handler yet."""
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(30)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.kind} does not stop:\n{self.log(process)[-3000:]}")
        too_early = code == -signal.SIGTERM and "streams.started" not in self.log(process)
        if code != 0 and not too_early:
            pytest.fail(f"{self.kind} ended with {code} at SIGTERM:\n{self.log(process)[-3000:]}")

    def log(self, process: subprocess.Popen[bytes]) -> str:
        """Return what one of them said."""
        return (self._folder / f"{self.kind}-{self.started.index(process)}.log").read_text()

    def kill_all(self) -> None:
        """SIGKILL what runs, stopped ones included."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()


@contextmanager
def workers(kind: str, settings: KafkaSettings, folder: Path, **env: str) -> Iterator[Workers]:
    """Yield a starter of workers; kill what is left."""
    made = Workers(kind, settings, folder, **env)
    try:
        yield made
    finally:
        made.kill_all()


@dataclass
class Cursor:
    """Where a group stands in a topic, against where the log ends."""

    settings: KafkaSettings
    group: str
    topic: str = "steps"
    partitions: int = PARTITIONS
    _consumer: Consumer = field(init=False)

    def __post_init__(self) -> None:
        config = {
            **self.settings.client_config(),
            "group.id": self.group,
            "enable.auto.commit": False,
            "log_level": 0,
            # a question about where a log ends goes to the leader as the client knows it, and does not look for another
            "topic.metadata.refresh.interval.ms": 1000,
        }
        self._consumer = Consumer(config)  # asks only; it does not join

    def committed(self) -> dict[int, int]:
        """Return the committed offset by partition; empty while the broker does not answer.

        Not by the admin client: its answer to an error of one group, such as one that moves, is a segmentation fault.
        """
        asked = [TopicPartition(self.settings.topic_prefix + self.topic, p) for p in range(self.partitions)]
        try:
            return {place.partition: max(place.offset, 0) for place in self._consumer.committed(asked, timeout=10)}
        except KafkaException:
            return {}

    def total(self) -> int:
        """Return the sum of the committed offsets."""
        return sum(self.committed().values())

    def ends(self) -> dict[int, int]:
        """Return where each partition ends."""
        name = self.settings.topic_prefix + self.topic
        parts = {p: TopicPartition(name, p) for p in range(self.partitions)}
        found = {p: self._consumer.get_watermark_offsets(part, 10) for p, part in parts.items()}
        return {p: high for p, (_, high) in found.items() if high}

    def at_end(self) -> bool:
        """Whether the group has taken everything; not while the broker does not answer."""
        committed = self.committed()
        try:
            return all(committed.get(p, 0) == end for p, end in self.ends().items())
        except KafkaException:
            return False

    def close(self) -> None:
        """Close the clients."""
        self._consumer.close()


class Feed:
    """Sends records in order, in a thread, as far as it is allowed to, in bursts; waits for every acknowledgement."""

    def __init__(self, settings: KafkaSettings, records: Sequence[Sent], seconds: float) -> None:
        self._settings = settings
        self._records = records
        self._pause = seconds / max(1, len(records))
        self._hurry = threading.Event()
        self._changed = threading.Condition()
        self._allowed = 0
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin; nothing is sent yet."""
        self._thread.start()

    def allow(self, share: float) -> None:
        """Let it send up to this share of the records."""
        with self._changed:
            self._allowed = max(self._allowed, min(len(self._records), round(share * len(self._records))))
            self._changed.notify()

    def finish(self) -> None:
        """Send what is left without pauses, and wait until the log has all of it."""
        self._hurry.set()
        self.allow(1.0)
        self._thread.join()

    def abandon(self) -> None:
        """Send nothing more: the test has failed."""
        self._abandoned = True
        self.finish()

    @property
    def idle(self) -> bool:
        """Whether the log has everything that is allowed."""
        return not self._thread.is_alive() or self._acknowledged == self._allowed

    _acknowledged = 0

    def _run(self) -> None:
        producer = Producer(
            {
                **self._settings.producer_config(),
                "compression.type": "lz4",
                "linger.ms": 5,
                "reconnect.backoff.max.ms": 1000,
                "log_level": 0,
                "message.timeout.ms": 0,
            }
        )
        for number, sent in enumerate(self._records):
            if number == self._allowed:
                self._flush(producer)
                self._acknowledged = number
                with self._changed:
                    self._changed.wait_for(lambda number=number: self._allowed > number)  # type: ignore[misc]
            if sent.after_all:
                self._flush(producer)
            if self._abandoned:
                return
            producer.produce(self._settings.topic_prefix + sent.topic, key=sent.key, value=sent.value)
            producer.poll(0)
            if number % 20 == 0:
                self._hurry.wait(self._pause * 20)
        self._flush(producer)
        self._acknowledged = len(self._records)

    def _flush(self, producer: Producer) -> None:
        while producer.flush(1) and not self._abandoned:
            pass

"""What the recorder's integration tests share: topics of their own, a reader of the log, agents as processes."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from confluent_kafka import Message

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_log import open_topic
from runbus.schemas.batch import StepBatch, decode
from runbus.schemas.codec import Codec
from runbus.schemas.events import Heartbeat, RunEvent


@dataclass(frozen=True)
class Log:
    """Reads whole topics back."""

    settings: KafkaSettings

    def records(self, topic: str) -> list[Message]:
        """Return every record of a topic, in order within each partition."""
        with open_topic(self.settings, topic, "reader") as log:
            return list(log.records())

    def batches(self) -> list[StepBatch]:
        """Return every batch of the steps topic."""
        return [decode(Codec().open(message.value(), "StepBatch")[1]) for message in self.records("steps")]

    def runs(self) -> list[RunEvent]:
        """Return every event of the runs topic."""
        return [RunEvent.decode(Codec().open(message.value(), "RunEvent")[1]) for message in self.records("runs")]

    def heartbeats(self) -> list[Heartbeat]:
        """Return every heartbeat."""
        return [Heartbeat.decode(Codec().open(m.value(), "Heartbeat")[1]) for m in self.records("heartbeats")]

    def seqs(self) -> dict[tuple[str, str, int], list[int]]:
        """Return the seqs of each stream, in the order of the log."""
        found: dict[tuple[str, str, int], list[int]] = {}
        for batch in self.batches():
            h = batch.header
            found.setdefault((h.run_id, h.agent_id, h.attempt), []).extend(range(h.first_seq, h.next_seq))
        return found


@pytest.fixture
def settings(kafka_settings: KafkaSettings) -> KafkaSettings:
    """Return a broker that has this test's topics."""
    apply_topics(kafka_settings, partitions=3)
    return kafka_settings


@pytest.fixture
def topic_log(settings: KafkaSettings) -> Log:
    """Return the reader of this test's topics."""
    return Log(settings)


@pytest.fixture
def read_log() -> Callable[[KafkaSettings], Log]:
    """Return how to read the topics of any broker."""
    return Log


@pytest.fixture
def agent() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return how to run a script as an agent's process; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(settings: KafkaSettings, script: str, **env: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
            env={
                **os.environ,
                "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
                "RUNBUS_TOPIC_PREFIX": settings.topic_prefix,
                **env,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()

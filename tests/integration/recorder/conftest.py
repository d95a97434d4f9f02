"""What the recorder's integration tests share: topics of their own, a reader of the log, agents as processes."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator

import pytest

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from tests.support.topic_reader import TopicReader


@pytest.fixture
def settings(kafka_settings: KafkaSettings) -> KafkaSettings:
    """Return a broker that has this test's topics."""
    apply_topics(kafka_settings, partitions=3)
    return kafka_settings


@pytest.fixture
def topic_log(settings: KafkaSettings) -> TopicReader:
    """Return the reader of this test's topics."""
    return TopicReader(settings)


@pytest.fixture
def read_log() -> Callable[[KafkaSettings], TopicReader]:
    """Return how to read the topics of any broker."""
    return TopicReader


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

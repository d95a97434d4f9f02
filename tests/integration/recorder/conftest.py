"""What the recorder's integration tests share: topics of their own, a reader of the log, agents as processes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from tests.support.scripts import RunScript, user_scripts
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
def agent() -> Iterator[RunScript]:
    """Return how to run a script as an agent's process; what still runs at the end is killed."""
    with user_scripts() as run:
        yield run


@pytest.fixture
def runbus() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return how to run a command of `runbus` against a broker."""

    def run(settings: KafkaSettings, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
            "RUNBUS_TOPIC_PREFIX": settings.topic_prefix,
        }
        return subprocess.run(
            [sys.executable, "-m", "runbus.cli", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run

"""What the reader's integration tests share: topics of their own, a writer of the log, readers as processes."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator

import pytest

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from tests.integration.reader.log import Log


@pytest.fixture
def settings(kafka_settings: KafkaSettings) -> KafkaSettings:
    """Return a broker that has this test's topics."""
    apply_topics(kafka_settings, partitions=3)
    return kafka_settings


@pytest.fixture
def log(settings: KafkaSettings) -> Log:
    """Return what appends to this test's topics."""
    return Log(settings)


@pytest.fixture
def script(settings: KafkaSettings) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return how to run a script as a process of a user; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(code: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments],
            env={
                **os.environ,
                "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
                "RUNBUS_TOPIC_PREFIX": settings.topic_prefix,
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

"""What the reader's integration tests share: topics of their own, a writer of the log, readers as processes."""

import subprocess
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from tests.integration.reader.log import Log
from tests.support.scripts import user_scripts


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
    with user_scripts() as run:
        yield partial(run, settings)

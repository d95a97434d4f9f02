"""The long fault suites run for many minutes: `make test-faults` asks for them, `make test` has their short forms."""

import os
from collections.abc import Callable

import pytest

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from tests.faults.stream_workers import PARTITIONS, TOPICS

LONG = "RUNBUS_TEST_FAULTS"
collect_ignore_glob = [] if os.environ.get(LONG) == "long" else ["test_*.py", "*/test_*.py"]


@pytest.fixture
def settings(kafka_settings: KafkaSettings) -> KafkaSettings:
    """Return a broker that has this test's topics."""
    apply_topics(kafka_settings, partitions=PARTITIONS, topics=TOPICS)
    return kafka_settings


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Return what prints a line whatever pytest captures: the kill counts are the report of these suites."""

    def print_it(line: str) -> None:
        with capsys.disabled():
            print(line, flush=True)

    return print_it

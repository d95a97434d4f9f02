"""Topics of a test's own, and the command."""

from pathlib import Path

import pytest

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from tests.integration.cursors.cursors_command import CursorsCommand
from tests.integration.cursors.user_groups import PARTITIONS


@pytest.fixture
def settings(kafka_settings: KafkaSettings) -> KafkaSettings:
    """Return a broker that has this test's topics."""
    apply_topics(kafka_settings, partitions=PARTITIONS)
    return kafka_settings


@pytest.fixture
def command(settings: KafkaSettings, tmp_path: Path) -> CursorsCommand:
    """Return the command."""
    env = {"KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers, "RUNBUS_TOPIC_PREFIX": settings.topic_prefix}
    return CursorsCommand(env, tmp_path)

"""The broker away under a running sink, short (`make test-faults` has the minute), and one that has just come up."""

import asyncio
from pathlib import Path

import pytest

from runbus.config.clickhouse import ClickHouseSettings
from runbus.config.sources import cache
from runbus.kafka.admin import apply_topics
from runbus.kafka.clients import new_offsets_reader
from runbus.kafka.commit_metadata import Committed
from runbus.kafka.model import LogUnavailable, TopicPartition
from runbus.kafka.offsets import KafkaOffsets
from runbus.kafka.settings import KafkaSettings
from runbus.local.kafka import KafkaOptions, kafka_service
from runbus.local.ports import free_port
from runbus.local.process import running
from tests.integration.sink.outage import without_broker
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.faults]


def test_a_broker_that_is_away_changes_nothing(migrated: ClickHouseSettings, tmp_path: Path) -> None:
    """Killed while steps wait in the log and in the sink, back after 8 s: each step is stored once."""
    assert without_broker(migrated, tmp_path, 8, "auto") > 0


def test_a_coordinator_that_is_not_ready_is_asked_again(tmp_path: Path) -> None:
    """A broker that has just come up is not the coordinator yet; librdkafka's admin client crashes at that answer."""
    options = KafkaOptions(tmp_path / "kafka", free_port(), free_port(), cache())
    kafka = KafkaSettings(bootstrap_servers=options.bootstrap_servers, topic_prefix="own.")
    at = TopicPartition("own.steps", 0)
    answers: list[dict[TopicPartition, Committed | None]] = []

    def asked(offsets: KafkaOffsets) -> bool:
        try:
            answers.append(asyncio.run(offsets.committed([at])))
        except LogUnavailable:
            return False
        return True

    with running(kafka_service(options), tmp_path / "kafka.log"):
        apply_topics(kafka, partitions=1)
        for number in range(5):
            offsets = KafkaOffsets(new_offsets_reader(kafka, f"group-{number}"))
            until("it answers", lambda offsets=offsets: asked(offsets))  # type: ignore[misc]
            asyncio.run(offsets.close(5))
    assert answers == [{at: None}] * 5

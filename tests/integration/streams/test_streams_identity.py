"""Workers of one host have a row each in the compacted topic of heartbeats."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from runbus.kafka.admin import apply_topics
from runbus.kafka.settings import KafkaSettings
from runbus.schemas.codec import Codec
from runbus.schemas.events import Heartbeat
from tests.faults.stream_workers import KINDS, workers
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.faults]


@pytest.mark.parametrize("kind", KINDS)
def test_two_workers_without_an_instance_id_have_two_names(
    kind: str, kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    """Kind, host and pid name each of them: neither hides the other's heartbeats."""
    apply_topics(kafka_settings, partitions=2)
    log = TopicReader(kafka_settings)

    def names() -> set[str]:
        beats = [Heartbeat.decode(Codec().open(m.value(), "Heartbeat")[1]) for m in log.read("heartbeats")]
        assert {message.key() for message in log.read("heartbeats")} >= {beat.component_id.encode() for beat in beats}
        return {beat.component_id for beat in beats}

    with workers(kind, kafka_settings, tmp_path) as started:
        processes = [started.start(instance="") for _ in range(2)]
        until("both were heard of", lambda: len(names()) >= 2)
        assert names() == {f"{kind}-{socket.gethostname()}-{process.pid}" for process in processes}
        for process in processes:
            started.stop(process)

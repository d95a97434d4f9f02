"""A partition that somebody took over who does not own it any more."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import Producer

from runbus.kafka.admin import apply_topics
from runbus.kafka.model import TopicPartition
from runbus.kafka.settings import KafkaSettings
from runbus.schemas.codec import Codec
from runbus.schemas.events import EpisodeFinalized
from runbus.streams.kafka import Transactions
from tests.faults.load import make_load
from tests.faults.stream_workers import workers
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.faults]


def test_a_rightful_owner_takes_its_partition_back(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    """A worker that was stopped while it took over fences the owner when it goes on: the owner comes back by itself."""
    apply_topics(kafka_settings, partitions=1)
    log = TopicReader(kafka_settings)
    records = [sent for sent in make_load(5, 6000).records if sent.topic == "steps" and not sent.error]
    producer = Producer({**kafka_settings.client_config()})

    def send(part: slice) -> None:
        for sent in records[part]:
            producer.produce(f"{kafka_settings.topic_prefix}steps", key=sent.key, value=sent.value)
        assert producer.flush(15) == 0

    async def take_over() -> None:
        place = TopicPartition(f"{kafka_settings.topic_prefix}steps", 0)
        zombie = Transactions(kafka_settings, f"{kafka_settings.topic_prefix}episodes", place)
        await zombie.open()
        await zombie.close()

    with workers("episodes", kafka_settings, tmp_path) as started:
        process = started.start()
        send(slice(0, len(records) // 2))
        until("the first episodes", lambda: bool(log.read("episodes")))
        asyncio.run(take_over())
        before = len(log.read("episodes"))
        send(slice(len(records) // 2, None))
        until("more episodes", lambda: len(log.read("episodes")) > before)
        assert "streams.taken_back" in started.log(process)
        started.stop(process)
    events = [EpisodeFinalized.decode(Codec().open(m.value(), "EpisodeFinalized")[1]) for m in log.read("episodes")]
    assert max(Counter((event.id, event.revision) for event in events).values()) == 1

"""Values that no dead letter can hold are no full stop for a stream app either."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from runbus.kafka.admin import apply_topics
from runbus.kafka.headers import START_BYTES
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import MIB
from tests.faults.stream_workers import workers
from tests.integration.sink.sink_processes import Feed, make_batch, widened
from tests.support.topic_reader import TopicReader
from tests.support.waiting import until

pytestmark = pytest.mark.integration


def test_a_value_that_no_letter_can_hold_is_passed(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    """It is cut short and larger than any letter: its letter is shortened, and the episodes behind it are finalised."""
    apply_topics(kafka_settings, partitions=1)
    feed, log = Feed(kafka_settings), TopicReader(kafka_settings)
    feed.raise_limit(20 * MIB)
    poison = feed.value(widened(make_batch(feed.run, "large", 0, 64), 17 * MIB // 64 // 8))[:-1]
    feed.send("steps", b"key", poison)
    feed.send("steps", b"key", feed.value(make_batch(feed.run, "small", 0, 400)))
    feed.flush()
    with workers("episodes", kafka_settings, tmp_path) as app:
        process = app.start()
        until("two episodes", lambda: len(log.read("episodes")) == 2)
        app.stop(process)
    (letter,) = log.read("dead-letters")
    headers = dict(letter.headers() or [])
    assert letter.value() == poison[:START_BYTES]
    assert (headers["component"], headers["size"]) == (b"episodes", str(len(poison)).encode())
    assert headers["sha256"] == sha256(poison).hexdigest().encode()

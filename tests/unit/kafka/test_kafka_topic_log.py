"""A topic is read through leaders that move."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from runbus.kafka.topic_log import TopicLog


class Moving:
    """A client whose leader is not the partition's any more until somebody asks who leads.

    Args:
        failures: questions about the leaders that get no answer first.
    """

    def __init__(self, failures: int = 0) -> None:
        self._asked = -1 - failures  # the first question opens the topic
        self._failures = failures

    def list_topics(self, name: str, **_: float) -> Any:
        """Return the topic's partitions; the client knows the leader from here on."""
        self._asked += 1
        if -self._failures <= self._asked - 1 < 0:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return SimpleNamespace(topics={name: SimpleNamespace(error=None, partitions={0: None})})

    def get_watermark_offsets(self, *_: TopicPartition, **__: float) -> tuple[int, int]:
        """Answer if the leader is known."""
        if self._asked < 1:
            raise KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION))
        return 3, 7


@pytest.mark.parametrize("failures", [0, 2])
def test_the_end_of_a_log_is_asked_of_its_new_leader(failures: int) -> None:
    """The client's own question goes to the old one for minutes; no answer about leaders is no end of the question."""
    client = Moving(failures)
    assert TopicLog(cast("Consumer", client), "steps", "id").bounds(0) == (3, 7)

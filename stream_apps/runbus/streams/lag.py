"""Measures how far behind each partition is, from what the consumer heard of the log."""

from __future__ import annotations

import time
from collections.abc import Mapping

from runbus.kafka.model import Lag, TopicPartition
from runbus.streams.kafka import Consumer
from runbus.streams.partition import BrokerClock, Partition

# An idle fetch is answered several times a second; past this the broker is away, and the log may have grown unseen.
_SILENT_MS = 5_000


def lags(partitions: Mapping[TopicPartition, Partition], consumer: Consumer, clock: BrokerClock) -> dict[str, Lag]:
    """Return how far behind each partition is; the age grows while nothing moves."""
    local_ms = time.time_ns() // 1_000_000
    assigned = consumer.assignment()
    found = {}
    for place, partition in partitions.items():
        asked_ms = consumer.last_poll_timestamp(place) if place in assigned else None
        end = consumer.highwater(place) if place in assigned else None
        events = max(0, (end or 0) - max(0, partition.shard.next_offset))
        watermark_ms = partition.shard.watermark_ms
        age = max(0, clock.of(local_ms) - watermark_ms) if events and watermark_ms else 0
        if asked_ms is not None and local_ms - asked_ms > _SILENT_MS:  # nobody knows what is in the log
            age = max(age, local_ms - int(asked_ms))
        found[str(partition.shard.source)] = Lag(events, age)
    return found

"""Measures how far behind each partition is, from what the consumer knows of the log."""

from __future__ import annotations

import time
from collections.abc import Mapping

from runbus.kafka.model import Lag, TopicPartition
from runbus.streams.broker_clock import BrokerClock
from runbus.streams.kafka import Consumer
from runbus.streams.owned_partition import OwnedPartition

# An idle fetch is answered several times a second; past this the broker is away, and the log may have grown unseen.
_SILENT_MS = 5_000


def lags(partitions: Mapping[TopicPartition, OwnedPartition], consumer: Consumer, clock: BrokerClock) -> dict[str, Lag]:
    """Return how far behind each partition is; the age grows while nothing moves."""
    local_ms = time.time_ns() // 1_000_000
    assigned = consumer.assignment()
    found = {}
    for partition, owned in partitions.items():
        asked_ms = consumer.last_poll_timestamp(partition) if partition in assigned else None
        end = consumer.highwater(partition) if partition in assigned else None
        events = max(0, (end or 0) - max(0, owned.shard.next_offset))
        watermark_ms = owned.shard.watermark_ms
        age = max(0, clock.of(local_ms) - watermark_ms) if events and watermark_ms else 0
        if asked_ms is not None and local_ms - asked_ms > _SILENT_MS:  # what is in the log is not known
            age = max(age, local_ms - int(asked_ms))
        found[str(owned.shard.source)] = Lag(events, age)
    return found

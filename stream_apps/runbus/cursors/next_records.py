"""Finds the next record at each of some positions: its time says how old the lag of a consumer is."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as ClientPartition

from runbus.config.deadline import Deadline
from runbus.kafka.clients import new_peeking_reader
from runbus.kafka.errors import BrokerUnavailable, RightMissing
from runbus.kafka.model import TopicPartition
from runbus.kafka.next_step import NextStep, next_step
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_log import record_position

# For the next record of every partition of a round: a healthy broker needs milliseconds, an election a second or two.
_ROUND_S = 15.0
#: A place in the log: a partition and an offset.
Place = tuple[TopicPartition, int]


def next_times(settings: KafkaSettings, group: str, places: Iterable[Place]) -> dict[Place, int]:
    """Return the time of the first readable record at or behind each place, milliseconds since the epoch.

    A place without an entry has nothing that can be read behind it: markers of transactions and what was aborted are
    no records.

    Args:
        settings: of the broker.
        group: the name of one that this user may see.
        places: where to look; several of one partition are looked at one after the other.

    Raises:
        BrokerUnavailable: no answer.
        RightMissing: this user may not read one of the topics.
    """
    rounds = list(_rounds(places))
    if not rounds:
        return {}
    consumer = new_peeking_reader(settings, group)
    found: dict[Place, int] = {}
    try:
        for starts in rounds:
            found |= _look(settings, consumer, starts)
    finally:
        consumer.close()
    return found


def _rounds(places: Iterable[Place]) -> Iterator[dict[TopicPartition, int]]:
    """Yield the places in rounds that have each partition once."""
    by_partition: dict[TopicPartition, list[int]] = {}
    for at, offset in sorted(set(places)):
        by_partition.setdefault(at, []).append(offset)
    for number in range(max(map(len, by_partition.values()), default=0)):
        yield {at: offsets[number] for at, offsets in by_partition.items() if number < len(offsets)}


def _look(settings: KafkaSettings, consumer: Consumer, starts: Mapping[TopicPartition, int]) -> dict[Place, int]:
    consumer.assign([ClientPartition(*at, offset) for at, offset in starts.items()])
    waiting, found = dict(starts), dict[Place, int]()
    deadline = Deadline.after(_ROUND_S, time.monotonic())
    while waiting:
        message = consumer.poll(deadline.remaining(time.monotonic()))
        if message is None:
            raise BrokerUnavailable(f"{settings.bootstrap_servers} has records and does not send them; ask again")
        _raise_if_refused(settings, message)
        partition, offset = record_position(message)
        at = TopicPartition(str(message.topic()), partition)
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            continue  # the client goes on by itself
        start = waiting.get(at)
        if start is None or offset < start:  # of the round before
            continue
        del waiting[at]
        consumer.incremental_unassign([ClientPartition(*at)])
        if message.error() is None:
            found[at, start] = message.timestamp()[1]
    return found


def _raise_if_refused(settings: KafkaSettings, message: Message) -> None:
    error = message.error()
    if error is None or error.code() == KafkaError._PARTITION_EOF:
        return
    if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        raise RightMissing(settings, [f"Read on Topic {message.topic()}"])
    if next_step(error) is not NextStep.AGAIN:
        raise BrokerUnavailable(f"cannot read the log at {settings.bootstrap_servers}: {KafkaException(error)}")

"""Commits offsets for a group that has no member: the broker refuses them as soon as it has one.

A commit without a member id and a generation is what Kafka's own tools send to move a group. The coordinator takes it
only while the group is empty, under the classic protocol and under KIP-848, and writes all partitions of one
request at once. It is sent through a consumer that never joins and not through the admin client, because librdkafka
2.16 ends the process if the coordinator that an admin client asks about offsets has moved (librdkafka issue 5040),
and because only a consumer's commit takes metadata.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from runbus.config.deadline import Deadline
from runbus.config.errors import RunBusError
from runbus.kafka.clients import new_offsets_reader
from runbus.kafka.errors import BrokerUnavailable, RightMissing
from runbus.kafka.model import TopicPartition
from runbus.kafka.next_step import NextStep, cause_of, next_step
from runbus.kafka.settings import KafkaSettings

_PATIENCE_S = 15.0  # for a coordinator that moves or loads
_AGAIN_S = 0.1
# What a coordinator answers to a commit from outside while the group has a member, by protocol and moment.
_ACTIVE = (
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.NON_EMPTY_GROUP,
    KafkaError.STALE_MEMBER_EPOCH,
    KafkaError.FENCED_MEMBER_EPOCH,
)


class GroupActive(RunBusError):
    """The group has members, so nobody else may move its offsets."""


class Commit(NamedTuple):
    """An offset to commit, with what stands beside it."""

    offset: int
    metadata: str = ""


def commit_alone(settings: KafkaSettings, group: str, commits: Mapping[TopicPartition, Commit]) -> None:
    """Commit offsets of a group without members, all of them or none.

    Raises:
        GroupActive: the broker refuses them, because the group has a member.
        BrokerUnavailable: no answer; they may be committed or not.
        RightMissing: this user may not commit for the group.
    """
    if not commits:
        return
    parts = [ClientPartition(*at, c.offset, metadata=c.metadata) for at, c in commits.items()]
    consumer = new_offsets_reader(settings, group)
    try:
        _commit(settings, group, consumer, parts)
    finally:
        consumer.close()


def _commit(settings: KafkaSettings, group: str, consumer: Consumer, parts: list[ClientPartition]) -> None:
    deadline = Deadline.after(_PATIENCE_S, time.monotonic())
    while (error := _sent(consumer, parts)) is not None:
        if error.code() in _ACTIVE:
            raise GroupActive(
                f"{group} has members, says the broker ({error.name()}): stop its processes, and wait until the group "
                "has let go of one that was killed"
            )
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            raise RightMissing(settings, [f"Read on Group {group}"])
        if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise RightMissing(settings, [f"Read on Topic {', '.join(sorted({part.topic for part in parts}))}"])
        if next_step(error) is not NextStep.AGAIN or deadline.passed(time.monotonic()):
            raise BrokerUnavailable(f"{settings.bootstrap_servers} does not take the offsets of {group}: {error.str()}")
        time.sleep(_AGAIN_S)


def _sent(consumer: Consumer, parts: list[ClientPartition]) -> KafkaError | None:
    """Send one commit; return its first error."""
    try:
        answer = consumer.commit(offsets=parts, asynchronous=False)
    except KafkaException as error:
        return cause_of(error)
    return next((part.error for part in answer or () if part.error is not None), None)

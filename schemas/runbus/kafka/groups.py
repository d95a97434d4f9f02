"""Says what the broker knows of consumer groups: their state, protocol and members. It joins none of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription, MemberDescription

from runbus.config.deadline import Deadline
from runbus.kafka.errors import BrokerUnavailable, RightMissing
from runbus.kafka.model import TopicPartition
from runbus.kafka.next_step import NextStep, cause_of, next_step
from runbus.kafka.settings import KafkaSettings

_TIMEOUT_S = 10.0
_PATIENCE_S = 15.0  # for a coordinator that moves or loads, as every one does on a broker that nobody has used yet
_AGAIN_S = 0.1
T = TypeVar("T")
#: What a group is called that the broker does not know: it never was, or its last offset has expired.
MISSING = "missing"
# Classic groups answer that they are dead, those of KIP-848 and newer brokers that there is none.
_UNKNOWN = (KafkaError.GROUP_ID_NOT_FOUND, KafkaError.INVALID_GROUP_ID)


@dataclass(frozen=True, slots=True)
class GroupMember:
    """One member, as the coordinator knows it.

    Attributes:
        id: given by the broker, or by a client of KIP-848 to itself.
        client_id, host: of its connection.
        instance_id: of a static member; "" = none.
        partitions: that it owns now.
    """

    id: str
    client_id: str
    host: str
    instance_id: str
    partitions: frozenset[TopicPartition]


@dataclass(frozen=True, slots=True)
class Group:
    """One consumer group.

    Attributes:
        name: of the group.
        state: `stable`, `empty`, `preparing rebalance`, `completing rebalance`, or `missing`.
        protocol: `classic`, `consumer` (KIP-848), or "" if the broker does not say.
        members: that have joined and whose session has not ended, whether or not their processes live.
    """

    name: str
    state: str
    protocol: str = ""
    members: tuple[GroupMember, ...] = ()

    def owner(self, at: TopicPartition) -> GroupMember | None:
        """Return the member that owns a partition."""
        return next((member for member in self.members if at in member.partitions), None)


def list_groups(settings: KafkaSettings, admin: AdminClient) -> list[str]:
    """Return the names of all consumer groups that this user may see. Raises BrokerUnavailable."""
    listed = _result(settings, admin.list_consumer_groups(request_timeout=_TIMEOUT_S), "")
    return sorted(group.group_id for group in listed.valid)


def describe_groups(settings: KafkaSettings, admin: AdminClient, names: Sequence[str]) -> dict[str, Group]:
    """Return each group as its coordinator has it now; one that is not there is `missing`.

    Raises:
        BrokerUnavailable: no answer.
        RightMissing: this user may not see one of them.
    """
    found: dict[str, Group] = {}
    deadline = Deadline.after(_PATIENCE_S, time.monotonic())
    while left := [name for name in names if name not in found]:
        futures = admin.describe_consumer_groups(left, request_timeout=_TIMEOUT_S)
        for name, future in futures.items():
            try:
                found[name] = _described(settings, name, future)
            except _Again as error:
                if deadline.passed(time.monotonic()):
                    raise BrokerUnavailable(str(error)) from error
                time.sleep(_AGAIN_S)
    return found


def _described(settings: KafkaSettings, name: str, future: Future[ConsumerGroupDescription]) -> Group:
    try:
        found = _result(settings, future, name)
    except _NoGroup:
        return Group(name, MISSING)
    state = found.state.name.lower().replace("rebalancing", "rebalance").replace("_", " ")
    if state == "dead":
        return Group(name, MISSING)
    protocol = found.type.name.lower()
    return Group(name, state, "" if protocol == "unknown" else protocol, tuple(map(_member, found.members)))


def _member(found: MemberDescription) -> GroupMember:
    owned = frozenset(TopicPartition(p.topic, p.partition) for p in found.assignment.topic_partitions)
    return GroupMember(
        found.member_id, found.client_id, found.host.removeprefix("/"), found.group_instance_id or "", owned
    )


class _NoGroup(Exception):
    """The broker does not know the group."""


class _Again(Exception):
    """The coordinator moves or loads: it will answer in a moment."""


def _result(settings: KafkaSettings, future: Future[T], group: str) -> T:
    try:
        return future.result(timeout=_TIMEOUT_S + 1)
    except TimeoutError as error:
        raise BrokerUnavailable(f"{settings.bootstrap_servers} did not say in time which groups it has") from error
    except KafkaException as error:
        cause = cause_of(error)
        if cause.code() in _UNKNOWN:
            raise _NoGroup from error
        if cause.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            raise RightMissing(settings, [f"Describe on Group {group}"]) from error
        said = f"{settings.bootstrap_servers} does not say which groups it has: {cause.name()} {cause.str()}"
        if group and next_step(cause) is NextStep.AGAIN:
            raise _Again(said) from error
        raise BrokerUnavailable(said) from error

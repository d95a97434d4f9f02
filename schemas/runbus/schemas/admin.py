"""Create the topics, or say how the broker's differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from runbus.config.errors import RunBusError
from runbus.config.kafka import KafkaSettings
from runbus.schemas.topics import TOPICS, Topic

_TIMEOUT_S = 15.0  # one admin request; a healthy broker answers in milliseconds, a starting one in a few seconds
Change = Literal["created", "unchanged", "reconfigured"]


class BrokerUnavailable(RunBusError):
    """The broker did not answer."""


class TopicMismatch(RunBusError):
    """A topic exists with another number of partitions: keys would move between partitions."""


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic as the broker has it. `partitions` is 0 where it is missing."""

    topic: Topic
    name: str
    partitions: int
    replication: int


def admin_client(settings: KafkaSettings) -> AdminClient:
    """Return an admin client; it connects at its first request and logs nothing of its own."""
    return AdminClient({**settings.client_config(), "log_level": 0, "socket.connection.setup.timeout.ms": 5000})


def list_topics(settings: KafkaSettings) -> list[TopicState]:
    """Return every topic of the catalogue as the broker has it. Raises BrokerUnavailable."""
    found = _metadata(admin_client(settings), settings)
    states = []
    for topic in TOPICS:
        name = settings.topic_prefix + topic.name
        partitions = found.get(name, [])
        states.append(TopicState(topic, name, len(partitions), partitions[0] if partitions else 0))
    return states


def apply_topics(settings: KafkaSettings, partitions: int = 8, replication: int = 1) -> list[tuple[str, Change]]:
    """Create what is missing and set the configuration of what is there; safe to repeat.

    Args:
        partitions: of steps and what is partitioned like it.
        replication: copies of each partition; 3 in production.

    Raises:
        BrokerUnavailable: no answer.
        TopicMismatch: one exists with another number of partitions; nothing was changed.
    """
    admin = admin_client(settings)
    found = _metadata(admin, settings)
    wanted = {settings.topic_prefix + t.name: (t, partitions if t.partitioned else 1) for t in TOPICS}
    for name, (_, count) in wanted.items():
        if name in found and len(found[name]) != count:
            raise TopicMismatch(
                f"topic {name} has {len(found[name])} partitions, {count} are asked for: pass "
                f"--partitions {len(found[name])}, or delete the topic if its data is not needed"
            )
    missing = [
        NewTopic(name, num_partitions=count, replication_factor=replication, config=topic.config())
        for name, (topic, count) in wanted.items()
        if name not in found
    ]
    created = _create(admin, missing)
    changed = _configure(admin, {name: topic for name, (topic, _) in wanted.items() if name not in created})
    return [(n, "created" if n in created else "reconfigured" if n in changed else "unchanged") for n in wanted]


def _metadata(admin: AdminClient, settings: KafkaSettings) -> dict[str, list[int]]:
    """Return topic -> replicas of each partition."""
    try:
        listed = admin.list_topics(timeout=_TIMEOUT_S)
    except KafkaException as error:
        raise BrokerUnavailable(
            f"no Kafka broker answers at {settings.bootstrap_servers} ({error.args[0].str()}): is it running? "
            "`runbus up` starts a local one; KAFKA_BOOTSTRAP_SERVERS names another"
        ) from error
    return {name: [len(p.replicas) for p in topic.partitions.values()] for name, topic in listed.topics.items()}


def _create(admin: AdminClient, missing: list[NewTopic]) -> set[str]:
    created = set()
    for name, future in (admin.create_topics(missing) if missing else {}).items():
        try:
            future.result(timeout=_TIMEOUT_S)
            created.add(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # somebody else was faster: fine
                raise BrokerUnavailable(f"cannot create topic {name}: {error.args[0].str()}") from error
    return created


def _configure(admin: AdminClient, topics: dict[str, Topic]) -> set[str]:
    """Set what differs from the catalogue; return the topics that were changed."""
    if not topics:
        return set()
    described = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in topics])
    updates = []
    for resource, future in described.items():
        current = future.result(timeout=_TIMEOUT_S)
        wrong = {k: v for k, v in topics[resource.name].config().items() if k in current and current[k].value != v}
        if wrong:
            entries = [ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in wrong.items()]
            updates.append(ConfigResource(ResourceType.TOPIC, resource.name, incremental_configs=entries))
    if updates:
        for future in admin.incremental_alter_configs(updates).values():
            future.result(timeout=_TIMEOUT_S)
    return {update.name for update in updates}

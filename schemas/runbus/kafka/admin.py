"""Creates the topics and sets their configuration; says if the broker's partitions differ."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from runbus.config.deadline import Deadline
from runbus.kafka.clients import admin_client
from runbus.kafka.errors import BrokerUnavailable, TopicMismatch, TopicMissing, TopicRefused, no_answer
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_ids import topic_ids
from runbus.kafka.topics import TOPICS, Topic

_TIMEOUT_S = 15.0  # one admin request; the broker waits for its controller and replicas within it
_METADATA_S = 5.0  # the first request: a healthy broker answers in milliseconds; past this it is down, so say so
_SETTLED_S = 10.0  # until a topic that was just created is known to every broker
_NO_ANSWER = (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError.REQUEST_TIMED_OUT, KafkaError._ALL_BROKERS_DOWN)
R = TypeVar("R")
F = TypeVar("F")
V = TypeVar("V")
Change = Literal["created", "unchanged", "reconfigured"]


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic as the broker has it. `partitions` is 0 if it is missing."""

    topic: Topic
    name: str
    partitions: int
    replication: int


def ask_topics(settings: KafkaSettings, admin: AdminClient, seconds: float) -> dict[str, int]:
    """Return topic -> partitions of what this user may see. Raises BrokerUnavailable, with why the connection fails."""
    try:
        listed = admin.list_topics(timeout=seconds)
    except KafkaException as error:
        raise unavailable(settings, admin, error.args[0].str()) from error
    return {name: len(topic.partitions) for name, topic in listed.topics.items()}


def unavailable(settings: KafkaSettings, admin: AdminClient, reason: str) -> BrokerUnavailable:
    """Return the error of a request without an answer, with what the client heard of its connections."""
    admin.poll(0)  # hands over why the connection failed
    seen = "; ".join(dict.fromkeys([reason, *getattr(admin, "reasons", ())]))
    return BrokerUnavailable(no_answer(settings, seen))


def list_topics(settings: KafkaSettings, topics: Sequence[Topic] = TOPICS) -> list[TopicState]:
    """Return every topic of the catalogue, or of an installation, as the broker has it. Raises BrokerUnavailable."""
    found = _Admin(settings).replicas()
    states = []
    for topic in topics:
        name = settings.topic_prefix + topic.name
        partitions = found.get(name, [])
        states.append(TopicState(topic, name, len(partitions), partitions[0] if partitions else 0))
    return states


def topic_id(settings: KafkaSettings, name: str) -> str:
    """Return the id of the topic that has this name (with prefix) now: another one after it was created anew.

    Raises:
        BrokerUnavailable: no answer.
        TopicMissing: there is none.
    """
    found = _Admin(settings).id(name)
    if found is None:
        raise TopicMissing(f"there is no topic {name}: run `runbus topics apply`")
    return found


def apply_topics(
    settings: KafkaSettings, partitions: int = 8, replication: int = 1, topics: Sequence[Topic] = TOPICS
) -> list[tuple[str, Change]]:
    """Create what is missing and set the configuration of what is there; safe to repeat. On return all can be used.

    Args:
        partitions: of steps and what is partitioned like it.
        replication: copies of each partition; 3 in production.
        topics: the catalogue, or all of an installation (user_apps.py).

    Raises:
        BrokerUnavailable: no answer.
        TopicMismatch: one exists with another number of partitions; nothing was changed.
        TopicRefused: the broker says no (rights, more copies than brokers); what was created before it stays.
    """
    admin = _Admin(settings)
    wanted = {settings.topic_prefix + t.name: (t, partitions if t.partitioned else 1) for t in topics}
    found = admin.replicas()
    _check_partitions(found, wanted)
    missing = [
        NewTopic(name, num_partitions=count, replication_factor=replication, config=topic.config())
        for name, (topic, count) in wanted.items()
        if name not in found
    ]
    created = admin.create(missing)
    if missing:  # the caller may use them at once; another client may have created them first, with other partitions
        _check_partitions(admin.all_there(wanted), wanted)
    changed = admin.configure({name: topic for name, (topic, _) in wanted.items() if name not in created})
    return [(n, "created" if n in created else "reconfigured" if n in changed else "unchanged") for n in wanted]


def _check_partitions(found: Mapping[str, list[int]], wanted: Mapping[str, tuple[Topic, int]]) -> None:
    for name, (_, count) in wanted.items():
        if name in found and len(found[name]) != count:
            raise TopicMismatch(
                f"topic {name} has {len(found[name])} partitions, {count} are asked for: pass "
                f"--partitions {len(found[name])}, or delete the topic if its data is not needed"
            )


class _Admin:
    """Makes the requests, and translates the client's errors."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client = admin_client(settings)

    def replicas(self) -> dict[str, list[int]]:
        """Return topic -> replicas of each partition."""
        try:
            listed = self._client.list_topics(timeout=_METADATA_S)
        except KafkaException as error:
            raise self._unavailable(error.args[0].str()) from error
        return {name: [len(p.replicas) for p in topic.partitions.values()] for name, topic in listed.topics.items()}

    def id(self, name: str) -> str | None:
        """Return Kafka's own id of a topic, None if there is none."""
        try:
            return topic_ids(self._client, [name], _METADATA_S).get(name)
        except KafkaException as error:
            raise self._failed(f"cannot describe topic {name}", error.args[0]) from error

    def all_there(self, names: Iterable[str]) -> dict[str, list[int]]:
        """Return what `replicas` does, once every one of these topics is in it."""

        def ask() -> dict[str, list[int]] | None:
            found = self.replicas()
            return found if all(name in found for name in names) else None

        return self._settled("the new topics are not in the metadata", ask)

    def _settled(self, what: str, ask: Callable[[], V | None]) -> V:
        """Ask until there is an answer: a topic that was just created is not known everywhere at once."""
        deadline = Deadline.after(_SETTLED_S, time.monotonic())
        while (found := ask()) is None:
            if deadline.passed(time.monotonic()):
                raise self._unavailable(f"{what} after {_SETTLED_S:.0f} s")
            time.sleep(0.05)
        return found

    def create(self, missing: list[NewTopic]) -> set[str]:
        """Create them; return those that no other client had created first."""
        created = set()
        for name, future in (self._request(lambda: self._client.create_topics(missing)) if missing else {}).items():
            try:
                self._done(f"cannot create topic {name}", future)
                created.add(name)
            except _AlreadyThere:
                continue
        return created

    def configure(self, topics: dict[str, Topic]) -> set[str]:
        """Set what differs from the catalogue; return the topics that were changed."""
        updates = []
        for name, topic in topics.items():
            current = self._settled(f"topic {name} is not known", functools.partial(self._described, name))
            wrong = {
                k: v for k, v in topic.config().items() if k in current and _normal(current[k].value) != _normal(v)
            }
            if wrong:
                entries = [ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in wrong.items()]
                updates.append(ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries))
        changed = self._request(lambda: self._client.incremental_alter_configs(updates)) if updates else {}
        for resource, future in changed.items():
            self._done(f"cannot configure topic {resource.name}", future)
        return {update.name for update in updates}

    def _described(self, name: str) -> dict[str, ConfigEntry] | None:
        """Return a topic's configuration, None if the broker that answers does not know it yet."""
        resource = ConfigResource(ResourceType.TOPIC, name)
        (future,) = self._request(lambda: self._client.describe_configs([resource])).values()
        try:
            found: dict[str, ConfigEntry] = self._done(f"cannot read the configuration of topic {name}", future)
        except _NotThere:
            return None
        return found

    def _request(self, send: Callable[[], dict[R, F]]) -> dict[R, F]:
        try:
            return send()
        except KafkaException as error:
            raise self._unavailable(error.args[0].str()) from error

    def _done(self, what: str, future: Future[V]) -> V:
        try:
            return future.result(timeout=_TIMEOUT_S)
        except TimeoutError as error:
            raise self._unavailable(f"{what}: no answer within {_TIMEOUT_S:.0f} s") from error
        except KafkaException as error:
            raise self._failed(what, error.args[0]) from error

    def _failed(self, what: str, cause: KafkaError) -> Exception:
        if cause.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return _AlreadyThere()
        if cause.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return _NotThere(f"{what}: {cause.str()}")
        if cause.code() in _NO_ANSWER:
            return self._unavailable(f"{what}: {cause.str()}")
        return TopicRefused(f"{what}: {cause.str()}")

    def _unavailable(self, reason: str) -> BrokerUnavailable:
        return unavailable(self._settings, self._client, reason)


class _AlreadyThere(Exception):
    """Another client created the topic first."""


class _NotThere(TopicRefused):
    """The broker does not know the topic (any more, or yet)."""


def _normal(value: str | None) -> Iterable[str]:
    """Return the words of a list in any order (`delete,compact` is `compact,delete`)."""
    return sorted((value or "").split(","))

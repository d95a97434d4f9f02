"""Sends the few records of a command, and returns once the broker has them; its refusals are said in our words."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterable, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from runbus.config.errors import RunBusError
from runbus.kafka.clients import new_commands_producer
from runbus.kafka.errors import BrokerUnavailable, RightMissing, TopicMissing, no_answer
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topics import Topic

_DELIVERY_S = 15.0
_NO_TOPIC = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)

#: Key and value; None = a tombstone.
KeyedValue = tuple[bytes, bytes | None]


def send(settings: KafkaSettings, topic: Topic, records: Iterable[KeyedValue], client_id: str) -> None:
    """Write records to a topic of one partition, in their order; returns once they are accepted.

    Raises:
        BrokerUnavailable: the broker did not take them within 15 s.
        TopicMissing, RightMissing
        RunBusError: it refused one.
    """
    name = settings.topic_prefix + topic.name
    reasons: list[str] = []
    errors: list[KafkaError] = []

    def told(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            errors.append(error)

    producer = _producer(settings, client_id, reasons)
    for key, value in records:
        producer.produce(name, value, key, partition=0, on_delivery=told)
    if producer.flush(_DELIVERY_S + 1) or errors:
        _raise(settings, name, errors[0] if errors else None, reasons)


def _producer(settings: KafkaSettings, client_id: str, reasons: list[str]) -> Producer:
    try:
        return new_commands_producer(settings, client_id, _DELIVERY_S, lambda error: reasons.append(error.str()))
    except KafkaException as error:
        raise BrokerUnavailable(f"the Kafka settings cannot be used: {error.args[0].str()}") from error


def _raise(settings: KafkaSettings, topic: str, error: KafkaError | None, reasons: Sequence[str]) -> None:
    code = error.code() if error is not None else KafkaError._MSG_TIMED_OUT
    if code in _NO_TOPIC:
        raise TopicMissing(f"there is no topic {topic}: run `runbus topics apply` (RUNBUS_TOPIC_PREFIX is the prefix)")
    if code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        raise RightMissing(settings, [f"Write on Topic {topic}"])
    if code == KafkaError._MSG_TIMED_OUT:
        raise BrokerUnavailable(no_answer(settings, "; ".join(reasons)))
    raise RunBusError(f"Kafka at {settings.bootstrap_servers} refuses a record of {topic}: {error}")


def sender() -> str:
    """Return who runs this process: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no entry for this user id, as in a container
        user = "unknown"
    return f"{user}@{socket.gethostname()}"

"""Writes annotations to the topic `annotations`, and reads those that hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runbus.config.errors import InvalidValue
from runbus.kafka import sending
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.topic_log import open_topic
from runbus.kafka.topics import ANNOTATIONS
from runbus.schemas.annotations import annotation_key
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from runbus.schemas.errors import UnknownSchema
from runbus.schemas.events import Annotation

_CLIENT = "runbus-annotations"  # a consumer needs the name of a group; it joins none


def write(settings: KafkaSettings, codec: Codec, annotations: Iterable[Annotation]) -> None:
    """Write annotations in their order; returns once they are accepted.

    A removal is two records: who removed it and when, for everybody who reads the log, and a tombstone, with which
    Kafka forgets the annotation.

    Raises:
        BrokerUnavailable, TopicMissing, RightMissing, RunBusError: see runbus.kafka.sending.
    """
    topic = settings.topic_prefix + ANNOTATIONS.name
    sending.send(settings, ANNOTATIONS, _records(topic, codec, annotations), _CLIENT)


def _records(topic: str, codec: Codec, annotations: Iterable[Annotation]) -> Iterator[sending.KeyedValue]:
    for annotation in annotations:
        key = annotation_key(annotation)
        yield key, codec.frame(topic, schema(Annotation.SCHEMA), annotation.encode())
        if annotation.removed:
            yield key, None


def current(settings: KafkaSettings, codec: Codec, run: str | None = None) -> list[Annotation]:
    """Return the annotations that hold, the one that was said first first. What cannot be read is left out.

    Args:
        settings: of the broker.
        codec: of the installation.
        run: only those of this run.

    Raises:
        RunBusError: no broker, no topic, no right.
    """
    found: dict[bytes, Annotation] = {}
    with open_topic(settings, ANNOTATIONS, _CLIENT) as log:
        for message in log.records():
            key = message.key() or b""
            if run is None or key.startswith(f"{run}/".encode()):
                found.pop(key, None)
                if (annotation := _held(codec, message.value())) is not None:
                    found[key] = annotation
    return list(found.values())


def _held(codec: Codec, value: bytes | None) -> Annotation | None:
    try:
        writer, body = codec.open(value, Annotation.SCHEMA)
        annotation = Annotation.decode(body, writer)
    except (InvalidValue, UnknownSchema):
        return None
    return None if annotation.removed else annotation

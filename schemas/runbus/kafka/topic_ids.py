"""Looks up which topic stands behind a name now: Kafka's own ids."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from runbus.kafka.model import LogUnavailable
from runbus.kafka.threads import in_thread

_TIMEOUT_S = 10.0  # one metadata request; the caller repeats it


async def kafka_ids(admin: AdminClient, names: Sequence[str]) -> dict[str, str]:
    """Ask the broker for the ids of some topics. Raises LogUnavailable."""
    return await in_thread(lambda: _describe(admin, names), "runbus-sink-topics")


def _describe(admin: AdminClient, names: Sequence[str]) -> dict[str, str]:
    try:
        futures = admin.describe_topics(TopicCollection(list(names)), request_timeout=_TIMEOUT_S)
    except KafkaException as error:
        raise LogUnavailable(error.args[0].str()) from error
    found = {}
    for name, future in futures.items():
        try:
            found[name] = str(future.result(timeout=_TIMEOUT_S + 1).topic_id)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise LogUnavailable(error.args[0].str()) from error
        except TimeoutError as error:
            raise LogUnavailable(f"the broker did not describe {name} in time") from error
    return found

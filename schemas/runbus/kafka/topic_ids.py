"""Looks up Kafka's own ids of topics: a topic that is re-created under its name has another one."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from runbus.kafka.model import LogUnavailable
from runbus.kafka.next_step import cause_of, raise_for_person
from runbus.kafka.threads import in_thread

_TIMEOUT_S = 10.0  # one metadata request; the caller repeats it


def topic_ids(admin: AdminClient, names: Sequence[str], seconds: float = _TIMEOUT_S) -> dict[str, str]:
    """Return name -> id; a missing topic is absent. Raises KafkaException, also for a broker that does not answer."""
    found: dict[str, str] = {}
    if not names:
        return found
    for name, future in admin.describe_topics(TopicCollection(list(names)), request_timeout=seconds).items():
        try:
            found[name] = str(future.result(timeout=seconds + 1).topic_id)
        except TimeoutError as error:
            late = KafkaError(KafkaError._TIMED_OUT, f"the broker did not describe {name} in time")
            raise KafkaException(late) from error
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
    return found


async def kafka_ids(admin: AdminClient, names: Sequence[str]) -> dict[str, str]:
    """Return what `topic_ids` does, from a thread. Raises LogUnavailable; RunBusError if a person has to act."""
    try:
        return await in_thread(lambda: topic_ids(admin, names), "runbus-kafka-topics")
    except KafkaException as error:
        cause = cause_of(error)
        raise_for_person(cause, f"Describe on Topic {', '.join(names)}")
        raise LogUnavailable(cause.str()) from error

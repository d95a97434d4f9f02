"""Which topic stands behind a name now: Kafka's own ids."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from runbus.kafka.next_step import cause_of, raise_for_person
from runbus.sink.api import Clock, Fenced, LogUnavailable
from runbus.sink.threads import in_thread

_TIMEOUT_S = 10.0  # one metadata request; the caller repeats it


class TopicIds:
    """Ids of some topics, asked for at most once for everything that was read before the question; see group.Topics.

    Args:
        ask: returns name -> id; a missing topic is absent. Raises LogUnavailable.
        clock: monotonic.
    """

    def __init__(self, ask: Callable[[], Awaitable[dict[str, str]]], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._asked_at = -1.0
        self._ids: dict[str, str] = {}
        self._lock = asyncio.Lock()

    async def ids(self, since: float) -> dict[str, str]:
        """Return name -> id, asked not before `since`; a missing topic is absent. Raises LogUnavailable."""
        async with self._lock:
            if self._asked_at < since:
                now = self._clock.now()
                self._ids = await self._ask()
                self._asked_at = now
            return self._ids

    async def confirm(self, name: str, topic_id: str, since: float) -> None:
        """Raise Fenced unless `name` was still the topic `topic_id` at some moment after `since`."""
        if (await self.ids(since)).get(name) != topic_id:
            raise Fenced(f"topic {name} is not {topic_id} any more")


async def kafka_ids(admin: AdminClient, names: Sequence[str]) -> dict[str, str]:
    """Ask the broker for the ids of some topics. Raises LogUnavailable."""
    return await in_thread(lambda: _describe(admin, names), "runbus-sink-topics")


def _describe(admin: AdminClient, names: Sequence[str]) -> dict[str, str]:
    try:
        futures = admin.describe_topics(TopicCollection(list(names)), request_timeout=_TIMEOUT_S)
    except KafkaException as error:
        raise LogUnavailable(cause_of(error).str()) from error
    found = {}
    for name, future in futures.items():
        try:
            found[name] = str(future.result(timeout=_TIMEOUT_S + 1).topic_id)
        except KafkaException as error:
            cause = cause_of(error)
            if cause.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise_for_person(cause, f"Describe on Topic {name}")
                raise LogUnavailable(cause.str()) from error
        except TimeoutError as error:
            raise LogUnavailable(f"the broker did not describe {name} in time") from error
    return found

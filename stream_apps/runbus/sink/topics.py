"""Which topic stands behind a name now: Kafka's own ids."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from runbus.sink.api import Clock, Fenced, LogUnavailable
from runbus.sink.threads import in_thread

_TIMEOUT_S = 10.0  # one metadata request; the caller repeats it


class TopicIds:
    """Ids of some topics, asked for at most once for everything that was read before the question.

    Args:
        admin: an admin client.
        names: full topic names.
        clock: monotonic.
    """

    def __init__(self, admin: AdminClient, names: Sequence[str], clock: Clock) -> None:
        self._admin = admin
        self._names = names
        self._clock = clock
        self._asked_at = -1.0
        self._ids: dict[str, str] = {}
        self._lock = asyncio.Lock()

    async def ids(self, since: float) -> dict[str, str]:
        """Return name -> id, asked not before `since`; a missing topic is absent. Raises LogUnavailable."""
        async with self._lock:
            if self._asked_at < since:
                now = self._clock.now()
                self._ids = await in_thread(self._describe, "runbus-sink-topics")
                self._asked_at = now
            return self._ids

    async def confirm(self, name: str, topic_id: str, since: float) -> None:
        """Raise Fenced unless `name` was still the topic `topic_id` at some moment after `since`."""
        if (await self.ids(since)).get(name) != topic_id:
            raise Fenced(f"topic {name} is not {topic_id} any more")

    def _describe(self) -> dict[str, str]:
        try:
            futures = self._admin.describe_topics(TopicCollection(list(self._names)), request_timeout=_TIMEOUT_S)
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

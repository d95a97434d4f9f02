"""Looks up Kafka's ids of topics, and remembers them for what was read before the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from runbus.kafka.model import Fenced
from runbus.sink.api import Clock


class TopicIds:
    """Looks up topic ids, once for everything that was read before; see group.TopicIdLookup.

    Args:
        ask: returns name -> id; absent = no such topic. Raises LogUnavailable.
        clock: monotonic.
    """

    def __init__(self, ask: Callable[[], Awaitable[dict[str, str]]], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._asked_at = -1.0
        self._ids: dict[str, str] = {}
        self._lock = asyncio.Lock()

    async def ids(self, since: float) -> dict[str, str]:
        """Return name -> id, asked not before `since`; absent = no such topic. Raises LogUnavailable."""
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

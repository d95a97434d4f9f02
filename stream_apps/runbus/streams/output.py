"""Turns what a core emits into records, and sends at once those that may be repeated."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from runbus.kafka.headers import fitting
from runbus.kafka.topics import DEAD_LETTERS
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from runbus.streams.api import Emission
from runbus.streams.best_effort import BestEffortProducer
from runbus.streams.kafka import Message
from runbus.streams.shard import PendingCommit

_SETTLE_S = 2.0


@dataclass(frozen=True, slots=True)
class AppOutput:
    """The output of one app.

    Attributes:
        prefix: of topic names.
        codec: of the values.
        best_effort: takes what is sent at once.
    """

    prefix: str
    codec: Codec
    best_effort: BestEffortProducer

    def message(self, emission: Emission) -> Message:
        """Return an emission as the record to write."""
        topic, event = self.prefix + emission.topic.name, emission.event
        if isinstance(event, bytes):
            return Message(topic, emission.key, event)
        return Message(topic, emission.key, self.codec.frame(topic, schema(event.SCHEMA), event.encode()))

    def messages(self, pending: PendingCommit, changelog: str, partition: int) -> Iterable[Message]:
        """Return everything of a commit as the records to write."""
        yield from map(self.message, pending.emissions)
        for letter in pending.letters:
            value, headers = fitting(letter.record.value, letter.headers)
            yield Message(self.prefix + DEAD_LETTERS.name, letter.key.encode(), value, headers=headers)
        for change in pending.changes:
            yield Message(changelog, change.key, change.value, partition)

    def send(self, emissions: Iterable[Emission]) -> None:
        """Send emissions at once, outside of any transaction."""
        for emission in emissions:
            self.best_effort.put(self.message(emission))

    async def settled(self) -> None:
        """Wait until what was sent at once is out; but not for long: live metrics may be lost."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                await self.best_effort.settled()

"""Keeps one app in its group, with one consumer after the other: each is used until it can do no more."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Any

from aiokafka.errors import KafkaError

from runbus.kafka.model import TopicPartition
from runbus.kafka.next_step import NextStep
from runbus.streams.client_errors import AGAIN_S, CLIENT_ERRORS, next_step, own_state_checked, said
from runbus.streams.kafka import Assigned, Consumer, Listener, Revoked, close_client, member, read
from runbus.streams.settings import StreamSettings

log = logging.getLogger(__name__)

# Past this, a consumer whose fetches nobody answered is replaced. aiokafka asks the brokers of its newest metadata
# only. While a cluster starts again that may be one broker, and if that one dies, the client waits for it for ever,
# whatever the others do; a new client begins at the configured addresses. Longer than a session (20 s) and a request
# (20 s).
_SILENT_S = 60.0
# The same at the end of the process: for a read that waits until the group has shared out anew (others take 0.05 s),
# and for a start that waits for a broker.
_HURRY_S = 1.0


class GroupMembership:
    """The membership of one app in its group.

    Args:
        settings: of the process.
        group: its id.
    """

    def __init__(self, settings: StreamSettings, group: str) -> None:
        self._settings = settings
        self._group = group
        self._left = False
        self._heard_at = time.monotonic()  # when a fetch was answered last, or none was under way
        self._answered_ms = 0
        self._limit: asyncio.Timeout | None = None  # of the start or read that is under way, or of the last one
        self._failed: Exception | None = None
        self.consumer: Consumer = self._new_consumer()

    def _new_consumer(self) -> Consumer:
        settings = self._settings
        return member(settings.kafka, self._group, settings.instance_id, settings.session_seconds)

    async def join(self, topic: str, assigned: Assigned, revoked: Revoked) -> None:
        """Begin to be a member, with a new consumer after one that left.

        Args:
            topic: to be read.
            assigned: is told which partitions are given.
            revoked: is told which partitions are taken away; the group waits for it.

        Raises:
            CLIENT_ERRORS
        """
        if self._left:
            self.consumer = self._new_consumer()
        self._left, self._answered_ms, self._failed = False, 0, None
        with own_state_checked():
            async with asyncio.timeout(None) as self._limit:
                await self.consumer.start()
        self._heard_at = time.monotonic()
        self.consumer.subscribe([topic], listener=self._listener(self.consumer, assigned, revoked))

    def _listener(self, consumer: Consumer, assigned: Assigned, revoked: Revoked) -> Listener:
        """Return a listener that hands on what concerns a consumer, as long as it is the one that is used."""

        def on_assigned(partitions: set[TopicPartition]) -> None:
            if consumer is self.consumer and not self._left:
                with self._heard():
                    assigned(partitions)

        async def on_revoked(partitions: set[TopicPartition]) -> None:
            if consumer is self.consumer and not self._left:
                with self._heard():
                    await revoked(partitions)

        return Listener(on_assigned, on_revoked)

    @contextlib.contextmanager
    def _heard(self) -> Iterator[None]:
        """Let the next read raise what a callback raises: aiokafka only logs it, and reads on for nobody."""
        try:
            yield
        except Exception as error:
            self._failed = error
            raise

    async def read(self, seconds: float, most: int) -> dict[TopicPartition, list[Any]]:
        """Return what arrives; nothing while the broker is away.

        Raises:
            CLIENT_ERRORS: a new consumer is needed.
            Exception: a callback of `join` has raised it.
        """
        if self._failed is not None:
            raise self._failed
        if self._silent_seconds() > _SILENT_S:
            raise KafkaError(f"no fetch was answered for {_SILENT_S:.0f} s")
        try:
            async with asyncio.timeout(_SILENT_S) as self._limit:  # a read waits while the group shares out anew
                return await read(self.consumer, seconds, most)
        except CLIENT_ERRORS as error:
            if self._limit is not None and self._limit.expired():
                raise KafkaError("the group gave no partitions in time") from error
            if next_step(error) is not NextStep.AGAIN:
                raise
            log.warning("streams.again reading: %s", said(error))
            await asyncio.sleep(AGAIN_S)
            return {}

    def _silent_seconds(self) -> float:
        """Return for how long no fetch has been answered; 0 if nothing is fetched."""
        consumer, now = self.consumer, time.monotonic()
        fetched = consumer.assignment() - consumer.paused()
        answered_ms = max((consumer.last_poll_timestamp(place) or 0 for place in fetched), default=0)
        if not fetched or answered_ms > self._answered_ms:
            self._heard_at, self._answered_ms = now, max(answered_ms, self._answered_ms)
        return now - self._heard_at

    def hurry(self) -> None:
        """Let a start that waits for a broker, or a read that waits for the group, end soon: the process is to end."""
        if self._limit is not None:
            with contextlib.suppress(RuntimeError):  # it is not under way any more
                self._limit.reschedule(asyncio.get_running_loop().time() + _HURRY_S)

    def end(self) -> None:
        """Hear nothing of this consumer from now on."""
        self._left = True

    async def close(self) -> None:
        """Leave the group and close the consumer, within a few seconds."""
        await close_client(self.consumer)

"""What is sent at once and may be lost: live metrics, heartbeats. Nothing here stops the app."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from runbus.streams.kafka import KafkaError, Message, Producer

log = logging.getLogger(__name__)
#: More than this waits for the broker only while it is down or too slow; what is older says less than what comes.
_MOST = 20_000


class Outbox:
    """A bounded queue before a producer; the oldest give way, counted in `dropped`."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._queue: deque[Message] = deque()
        self._news = asyncio.Event()
        self._put = self._done = 0
        self._settled = asyncio.Condition()
        self.dropped = 0

    def put(self, message: Message) -> None:
        """Send it some time soon."""
        if len(self._queue) >= _MOST:
            self._queue.popleft()
            self.dropped += 1
            self._done += 1
        self._queue.append(message)
        self._put += 1
        self._news.set()

    async def settled(self) -> None:
        """Wait until as much was delivered, or given up, as was put before this call."""
        wanted = self._put
        async with self._settled:
            await self._settled.wait_for(lambda: self._done >= wanted)

    async def run(self) -> None:
        """Send until cancelled."""
        await self._producer.start()
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._queue:
                    await self._send(self._queue.popleft())
                await self._tell()
        finally:
            await self._producer.stop()

    async def _send(self, message: Message) -> None:
        try:
            sent = await self._producer.send(message.topic, message.value, message.key, message.partition)
        except KafkaError as error:
            self._over(error)
            return
        sent.add_done_callback(lambda done: self._over(None if done.cancelled() else done.exception()))

    def _over(self, error: BaseException | None) -> None:
        self._done += 1
        if error is not None:
            self.dropped += 1
            log.warning("streams.not_sent: %s", error)
        if self._done == self._put:
            self._news.set()  # `run` tells those who wait

    async def _tell(self) -> None:
        async with self._settled:
            self._settled.notify_all()

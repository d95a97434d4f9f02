"""Sends at once what may be lost: live metrics, heartbeats. Nothing here stops the app."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from runbus.kafka.next_step import NextStep
from runbus.streams.client_errors import AGAIN_S, CLIENT_ERRORS, next_step, own_state_checked, said
from runbus.streams.kafka import Message, Producer, dropped

log = logging.getLogger(__name__)
#: More than this waits for the broker only while it is down or too slow; what is older says less than what comes.
_MOST = 20_000


class BestEffortProducer:
    """A bounded queue before a producer; the oldest give way, counted in `dropped`.

    Args:
        new_producer: makes the producer, and another one where a producer is of no use any more.
    """

    def __init__(self, new_producer: Callable[[], Producer]) -> None:
        self._new_producer = new_producer
        self._queue: deque[Message] = deque()
        self._news = asyncio.Event()
        self._put = self._done = 0
        self._settled = asyncio.Condition()
        self._useless = False
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
        """Send until cancelled; what a producer of no use does not take is dropped, and counted."""
        while True:
            producer = self._new_producer()
            try:
                await producer.start()
                await self._send_all(producer)
            except CLIENT_ERRORS as error:
                log.warning("streams.not_sent: no producer: %s", said(error))
            finally:
                await dropped(producer)
            await asyncio.sleep(AGAIN_S)

    async def _send_all(self, producer: Producer) -> None:
        """Send until cancelled, or until the producer is of no use any more."""
        self._useless = False
        self._news.set()  # what was put before
        while not self._useless:
            await self._news.wait()
            self._news.clear()
            while self._queue and not self._useless:
                await self._send(producer, self._queue.popleft())
            await self._tell()

    async def _send(self, producer: Producer, message: Message) -> None:
        try:
            with own_state_checked():
                sent = await producer.send(message.topic, message.value, message.key, message.partition)
        except CLIENT_ERRORS as error:
            self._over(error)
            return
        sent.add_done_callback(lambda done: self._over(None if done.cancelled() else done.exception()))

    def _over(self, error: BaseException | None) -> None:
        self._done += 1
        if error is not None:
            self.dropped += 1
            self._useless = self._useless or next_step(error) in (NextStep.NEW_CLIENT, NextStep.FENCED)
            log.warning("streams.not_sent: %s", said(error))
        if self._done == self._put or self._useless:
            self._news.set()  # `_send_all` tells those who wait, or ends

    async def _tell(self) -> None:
        async with self._settled:
            self._settled.notify_all()

"""Sends at once what may be lost: live metrics. Nothing here stops the app."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from aiokafka.errors import Cancelled

from runbus.kafka.next_step import NextStep
from runbus.streams.client_errors import AGAIN_S, CLIENT_ERRORS, next_step, own_state_checked, said
from runbus.streams.kafka import Message, Producer, close_client

log = logging.getLogger(__name__)
#: More than this waits only while the broker is down or too slow; the oldest matter least.
_MOST = 20_000


class BestEffortProducer:
    """A bounded queue before a producer; the oldest are dropped first, and counted in `dropped`.

    Args:
        new_producer: makes the producer, and another one once a producer can do no more.
    """

    def __init__(self, new_producer: Callable[[], Producer]) -> None:
        self._new_producer = new_producer
        self._queue: deque[Message] = deque()
        self._ready = asyncio.Event()
        self._put = self._done = 0
        self._settled = asyncio.Condition()
        self._broken = False
        self.dropped = 0

    def put(self, message: Message) -> None:
        """Queue a message to be sent."""
        if len(self._queue) >= _MOST:
            self._queue.popleft()
            self.dropped += 1
            self._done += 1
        self._queue.append(message)
        self._put += 1
        self._ready.set()

    async def settled(self) -> None:
        """Wait until as much was delivered, or given up, as was put before this call."""
        wanted = self._put
        async with self._settled:
            await self._settled.wait_for(lambda: self._done >= wanted)

    async def run(self) -> None:
        """Send until cancelled; what a broken producer does not take is dropped, and counted."""
        while True:
            producer = self._new_producer()
            try:
                with own_state_checked():
                    await producer.start()
                    await self._send_all(producer)
            except CLIENT_ERRORS as error:
                log.warning("streams.not_sent: no producer: %s", said(error))
            finally:
                await close_client(producer)
            await asyncio.sleep(AGAIN_S)

    async def _send_all(self, producer: Producer) -> None:
        """Send until cancelled, or until the producer can do no more."""
        self._broken = False
        self._ready.set()  # what was put before
        while not self._broken:
            await self._ready.wait()
            self._ready.clear()
            while self._queue and not self._broken:
                await self._send(producer, self._queue.popleft())
            await self._notify()

    async def _send(self, producer: Producer, message: Message) -> None:
        try:
            with own_state_checked():
                sent = await producer.send(message.topic, message.value, message.key, message.partition)
        except CLIENT_ERRORS as error:
            self._finish(error)
            return
        sent.add_done_callback(lambda done: self._finish(Cancelled() if done.cancelled() else done.exception()))

    def _finish(self, error: BaseException | None) -> None:
        self._done += 1
        if error is not None:
            self.dropped += 1
            self._broken = self._broken or next_step(error) in (NextStep.NEW_CLIENT, NextStep.FENCED)
            log.warning("streams.not_sent: %s", said(error))
        if self._done == self._put or self._broken:
            self._ready.set()  # `_send_all` notifies, or ends

    async def _notify(self) -> None:
        async with self._settled:
            self._settled.notify_all()

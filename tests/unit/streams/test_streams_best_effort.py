"""What may be lost is sent by whichever producer is of use; nothing of it stops the app."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from aiokafka.errors import KafkaConnectionError, KafkaError, LeaderNotAvailableError

from runbus.streams.best_effort import BestEffortProducer
from runbus.streams.kafka import Message


class Producer:
    """A producer that starts, or not, and sends, or not."""

    def __init__(self, start: Exception | None = None, send: Exception | None = None) -> None:
        self._start, self._send = start, send
        self.sent: list[bytes] = []
        self.stopped = False

    async def start(self) -> None:
        """Start, or raise."""
        if self._start is not None:
            raise self._start

    async def send(self, _topic: str, value: bytes, *_: object) -> asyncio.Future[None]:
        """Send, or let the delivery fail."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._send is not None:
            done.set_exception(self._send)
        else:
            self.sent.append(value)
            done.set_result(None)
        return done

    async def stop(self) -> None:
        """Stop."""
        self.stopped = True


def _run(producers: list[Producer], story: Coroutine[Any, Any, None], best_effort: BestEffortProducer) -> None:
    async def both() -> None:
        task = asyncio.create_task(best_effort.run())
        try:
            async with asyncio.timeout(20):
                await story
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(both())
    assert all(producer.stopped for producer in producers if not producer.sent)


def _producer(producers: list[Producer]) -> BestEffortProducer:
    left = iter(producers)
    return BestEffortProducer(lambda: next(left))


def _message(number: int) -> Message:
    return Message("live-metrics", b"k", str(number).encode())


def test_a_producer_that_does_not_start_is_tried_again() -> None:
    """No broker at the start is no reason to end; what was put meanwhile is sent."""
    producers = [Producer(start=KafkaConnectionError("nobody")), Producer()]
    best_effort = _producer(producers)

    async def story() -> None:
        best_effort.put(_message(1))
        await best_effort.settled()
        assert producers[1].sent == [b"1"]
        assert best_effort.dropped == 0

    _run(producers, story(), best_effort)


def test_a_producer_that_gave_up_is_replaced() -> None:
    """What it did not take is dropped and counted; the next one sends what comes."""
    producers = [Producer(send=KafkaError("Unexpected error during batch delivery")), Producer()]
    best_effort = _producer(producers)

    async def story() -> None:
        best_effort.put(_message(1))
        while not best_effort.dropped:  # noqa: ASYNC110 - a counter of the class under test
            await asyncio.sleep(0.01)
        best_effort.put(_message(2))
        await best_effort.settled()
        assert producers[1].sent == [b"2"]
        assert best_effort.dropped == 1

    _run(producers, story(), best_effort)


def test_a_leader_that_moves_costs_the_message_only() -> None:
    """The same producer goes on: there is no second one."""
    producers = [Producer(send=LeaderNotAvailableError())]
    best_effort = _producer(producers)

    async def story() -> None:
        for number in range(3):
            best_effort.put(_message(number))
            await best_effort.settled()
        assert best_effort.dropped == 3
        assert not producers[0].stopped

    _run(producers, story(), best_effort)

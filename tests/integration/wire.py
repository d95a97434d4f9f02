"""A wire between a Kafka client and the real broker on which one Produce request is damaged."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field

from tests.integration.served import Served

LOOPBACK = b"127.0.0.1"
PRODUCE = 0


@dataclass
class Wire(Served):
    """Passes frames on as they are, but for the first Produce request to a topic, which it damages.

    The damaged one is held until the client has sent the next to that topic, at most `hold_s`. The broker finds that
    its checksum is wrong and refuses it, as it refuses a partition of which it is not the leader any more: nothing of
    it is stored, and the client is to send it again.

    Attributes:
        broker_port: where the broker is, on 127.0.0.1.
        topic: whose first request is damaged.
        damaged: set when that request has come.
    """

    broker_port: int
    topic: str
    hold_s: float = 1.0
    port: int = 0
    damaged: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_broker, to_broker = await asyncio.open_connection("127.0.0.1", self.broker_port)
        for coroutine in (self._requests(reader, to_broker), self._answers(from_broker, writer)):
            task = asyncio.create_task(coroutine)
            self._tasks.add(task)

    async def _requests(self, client: asyncio.StreamReader, broker: asyncio.StreamWriter) -> None:
        try:
            while True:
                frame = await _frame(client)
                if self._produces(frame) and not self.damaged.is_set():
                    self.damaged.set()
                    await self._hold(_flipped(frame), client, broker)
                else:
                    broker.write(frame)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            broker.close()

    async def _hold(self, frame: bytes, client: asyncio.StreamReader, broker: asyncio.StreamWriter) -> None:
        """Pass the damaged request on when the next one has come, or where none comes; the order stays."""
        held, end = [frame], self._loop.time() + self.hold_s
        following = asyncio.ensure_future(_frame(client))
        while (await asyncio.wait([following], timeout=end - self._loop.time()))[0]:
            held.append(following.result())
            following = asyncio.ensure_future(_frame(client))
            if self._produces(held[-1]):
                break
        broker.write(b"".join(held))
        broker.write(await following)

    def _produces(self, frame: bytes) -> bool:
        return int.from_bytes(frame[4:6], "big") == PRODUCE and self.topic.encode() in frame

    async def _answers(self, broker: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        there, here = (LOOPBACK + port.to_bytes(4, "big") for port in (self.broker_port, self.port))
        try:
            while True:  # metadata sends the client to the broker itself: to this wire instead
                client.write((await _frame(broker)).replace(there, here))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            client.close()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    size = await reader.readexactly(4)
    return size + await reader.readexactly(int.from_bytes(size, "big"))


def _flipped(frame: bytes) -> bytes:
    """Flip a bit of the records, which are most of the request."""
    at = len(frame) * 3 // 4
    return frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]

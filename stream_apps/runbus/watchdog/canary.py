"""Sends the canary: one short episode every few seconds, by the way that every step takes, and waits for it to return.

Why it is a run like any other, and who does not see it: docs/decisions/0019.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from datetime import timedelta

from clickhouse_connect.driver.client import Client

from runbus.clickhouse.asking import asking
from runbus.clickhouse.client import Timeouts, connect
from runbus.clickhouse.errors import StoreError
from runbus.clickhouse.queries import query
from runbus.config.clickhouse import ClickHouseSettings
from runbus.kafka.model import StreamId
from runbus.kafka.settings import KafkaSettings
from runbus.kafka.threads import in_thread
from runbus.kafka.topics import CANARY_RUN
from runbus.reader import EpisodeFinalized, LiveMetrics, Reader
from runbus.recorder import Recorder
from runbus.watchdog.round_trips import RoundTrips

log = logging.getLogger(__name__)
_ASK_S = 0.25  # between two questions whether a step is stored, while one is on its way
_TIMEOUTS = Timeouts(connect=2, answer=5)


class Canary:
    """One stream of the run `runbus-canary`: its episodes have a reset and one step each.

    The reward of the step is the number of its round, so every result says which round it is of, also if others
    were dropped.

    Args:
        kafka, clickhouse: where it goes, and where it has to arrive.
        agent: its agent; the component id of the watchdog.
        every_s: between two rounds.
        round_trips: what it measures.

    Attributes:
        store_says: why ClickHouse does not answer; empty = it does.
    """

    def __init__(
        self, kafka: KafkaSettings, clickhouse: ClickHouseSettings, agent: str, every_s: float, round_trips: RoundTrips
    ) -> None:
        self._kafka = kafka
        self._clickhouse = clickhouse
        self._agent = agent
        self._every_s = every_s
        self._trips = round_trips
        self._stream: StreamId | None = None
        self._seqs: dict[int, int] = {}
        self.store_says = ""

    @property
    def name(self) -> str:
        """`run/agent`."""
        return f"{CANARY_RUN}/{self._agent}"

    async def send(self) -> None:
        """Record an episode every few seconds, until cancelled; then the stream is finished."""
        recorder = Recorder(
            CANARY_RUN, self._agent, settings=self._kafka, labels={"what": "the watchdog's own steps"}, tags=["canary"]
        )
        try:
            while True:
                self._round(recorder)
                await asyncio.sleep(self._every_s)
        finally:
            await in_thread(recorder.close, "runbus-canary")

    def _round(self, recorder: Recorder) -> None:
        number = self._trips.send(time.monotonic())
        recorder.reset(number)
        seq = recorder.step("sing", float(number), True, False, number)
        self._stream = StreamId(CANARY_RUN, self._agent, recorder.attempt)
        if seq is not None:
            self._seqs[number] = seq

    async def listen(self) -> None:
        """Notice each round in live metrics and episodes, until cancelled. Raises RunBusError."""
        topics = ("live-metrics", "episodes")
        reader = Reader(
            topics=topics, run=CANARY_RUN, agent=self._agent, start=timedelta(seconds=10), settings=self._kafka
        )
        async with reader:
            async for event in reader:
                now = time.monotonic()
                if isinstance(event, LiveMetrics) and self._is_mine(event) and event.episodes:
                    self._trips.came_back("live-metrics", int(event.last_return), now)
                elif isinstance(event, EpisodeFinalized) and self._is_mine(event):
                    self._trips.came_back("episodes", int(event.return_), now)

    def _is_mine(self, event: LiveMetrics | EpisodeFinalized) -> bool:
        return StreamId(event.run_id, event.agent_id, event.attempt) == self._stream

    async def look_up(self) -> None:
        """Ask ClickHouse for the newest stored round, while one is on its way, until cancelled."""
        async with _connections(self._clickhouse) as connections:
            while True:
                await asyncio.sleep(_ASK_S)
                if self._trips.waits("sink") and self._stream is not None:
                    await self._ask(connections, self._stream)

    async def _ask(self, connections: _Connections, stream: StreamId) -> None:
        try:
            stored = await in_thread(lambda: connections.newest_seq(stream), "runbus-canary")
            self.store_says = ""
        except StoreError as error:
            self.store_says = error.text
            await asyncio.sleep(1.0)
            return
        now = time.monotonic()
        for number in [n for n, seq in self._seqs.items() if seq <= stored]:
            del self._seqs[number]
            self._trips.came_back("sink", number, now)


class _Connections:
    """One connection to ClickHouse, made again after an error."""

    def __init__(self, settings: ClickHouseSettings) -> None:
        self._settings = settings
        self._client: Client | None = None

    def newest_seq(self, stream: StreamId) -> int:
        """Return the newest stored seq of a stream; -1 = none. Raises StoreError."""
        try:
            self._client = self._client or connect(self._settings, timeouts=_TIMEOUTS)
            with asking():
                rows = self._client.query(query("newest_seq"), parameters=stream._asdict()).result_rows
        except StoreError:
            self.close()
            raise
        return int(rows[0][0])

    def close(self) -> None:
        """Close it."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


@contextlib.asynccontextmanager
async def _connections(settings: ClickHouseSettings) -> AsyncIterator[_Connections]:
    connections = _Connections(settings)
    try:
        yield connections
    finally:
        connections.close()

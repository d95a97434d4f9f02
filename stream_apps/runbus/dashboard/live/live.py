"""Joins what is read and who follows: the log as it is now, for all pages of one dashboard."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from runbus.dashboard.live.api import View
from runbus.dashboard.live.board import (
    COMPONENTS,
    RUNS_CHANNEL,
    TOTALS,
    WATCH,
    Board,
    Taken,
    episodes_channel,
    streams_channel,
)
from runbus.dashboard.live.feed import Feed
from runbus.dashboard.live.focus import Focus
from runbus.dashboard.live.frames import RETRY, Frames
from runbus.dashboard.live.hub import Hub
from runbus.dashboard.live.rows import Row
from runbus.dashboard.live.runs import StreamFacts
from runbus.dashboard.live.ticks import Ticks
from runbus.dashboard.settings import DashboardSettings
from runbus.kafka.errors import no_answer
from runbus.kafka.model import StreamId, TopicPartition
from runbus.kafka.topics import STEPS
from runbus.schemas.codec import Codec
from runbus.schemas.events import Heartbeat

#: A page is looked at by people; the curve of a run moves four times a second, a step that is watched ten times.
_SLOW_S, _FAST_S = 0.25, 0.1
_BEAT_S = 5.0
#: What nobody looks at is remembered for so long: a page that comes back goes on where it was.
_REMEMBERED_S = 60.0
#: Heartbeats come every second, the dashboard's own too: without any for so long, the log does not reach it.
_SILENT_S = 5.0
#: Of every page: a row if the log does not reach the dashboard, so that none looks live while nothing can come.
LOG = "log"
#: Channels that others fill (identity/watch.py): of the page of health, and of the list of runs.
TOLD, LIGHT = ("identity", "ends"), "light"


class Live:
    """The log as it is now; see api.LiveLog.

    Args:
        settings: of the dashboard.
        codec: of the installation.
        partitions: of each topic, by full name.
    """

    def __init__(self, settings: DashboardSettings, codec: Codec, partitions: Mapping[str, int]) -> None:
        self._kafka = settings.kafka
        self._prefix = settings.kafka.topic_prefix
        self._began = time.monotonic()
        self._hub = Hub()
        self._board = Board(codec, self._prefix, self._hub)
        self._frames = Frames(self._hub, self._row, self._below_now, secrets.token_hex(4))
        self._feed = Feed(settings.kafka, settings.names.sink_group, partitions, self._take)
        self._focus = Focus(settings.kafka, codec, partitions, self._stored_steps, self._hub, self._heard)
        self._slow, self._fast = Ticks(self._advance, _SLOW_S), Ticks(self._advance, _FAST_S)
        self._watched: Counter[str] = Counter()
        self._left: dict[str, float] = {}
        self._told: dict[str, dict[str, Row]] = {}
        self._closing = False
        #: Frames that clients took, and ticks that they missed meanwhile.
        self.frames_sent = 0
        self.ticks_skipped = 0

    async def run(self) -> None:
        """Read and tick until cancelled. Raises RunBusError if a person has to act."""
        works = [
            asyncio.create_task(work)
            for work in (self._feed.run(), self._focus.run(), self._slow.run(), self._fast.run())
        ]
        try:
            await asyncio.gather(*works)
        finally:
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)

    async def ready(self) -> None:
        """Return once everything that was in the log at the start is read."""
        await self._feed.caught_up.wait()

    def close(self) -> None:
        """Let every follower end."""
        self._closing = True
        for ticks in (self._slow, self._fast):
            ticks.wake()

    # --- what others ask -------------------------------------------------------------------------------------------

    def below(self, topic: str) -> Mapping[int, int]:
        """Return partition -> the offset below which ClickHouse has everything; see api.LiveLog."""
        return self._board.below.of(self._prefix + topic)

    def heartbeats(self) -> Mapping[str, Heartbeat]:
        """Return the newest heartbeat of each component."""
        return self._board.heartbeats()

    def silent_seconds(self, component_id: str) -> float:
        """Return for how long a component was silent while heartbeats flowed."""
        return self._board.silence.seconds(component_id, time.monotonic())

    def behind_seconds(self) -> float:
        """Return for how long no heartbeat was read."""
        return self._board.silence.behind(time.monotonic())

    def ends(self) -> Mapping[TopicPartition, int]:
        """Return how far each partition was read."""
        return self._feed.positions

    def ended(self, since: int) -> Iterator[tuple[StreamId, StreamFacts]]:
        """Yield the streams that said their end since then; see api.LiveLog."""
        for run in self._board.runs.values():
            yield from ((stream, facts) for stream, facts in run.streams.items() if facts.finished_at >= since)

    def watched(self, channel: str) -> bool:
        """Return whether a client looks at a channel now."""
        return self._watched[channel] > 0

    def tell(self, channel: str, rows: Mapping[str, Row]) -> None:
        """Have these rows in a channel, and no others; see api.LiveLog."""
        told = self._told.get(channel, {})
        self._told[channel] = dict(rows)
        for key in told.keys() - rows.keys():
            self._hub.drop(channel, key)
        for key, row in rows.items():
            if told.get(key) != row:
                self._hub.touch(channel, key)
        self._heard()

    @property
    def clients(self) -> int:
        """How many follow now."""
        return self._slow.clients + self._fast.clients

    @property
    def frames_encoded(self) -> int:
        """How many frames were made; clients that are equally far share one."""
        return self._frames.encoded

    # --- clients ---------------------------------------------------------------------------------------------------

    async def follow(self, view: View, since: str) -> AsyncIterator[bytes]:
        """Yield frames for one client; see api.LiveLog."""
        channels = (*self._channels(view), LOG)
        ticks = self._fast if view.name == "episode" else self._slow
        yield RETRY
        with self._watching(channels, ticks), self._focused(view):
            at, seen = self._frames.parse(since), ticks.number
            self._advance()
            told = 0.0
            while not self._closing:
                until = self._hub.revision  # also what came since the tick: it would wait for the next one
                skipped = max(0, ticks.number - seen - 1)
                frame = self._frames.frame(channels, at, until, skipped)
                now = time.monotonic()
                if not frame and now - told >= _BEAT_S:
                    frame = self._frames.beat(until)
                at, seen = until, ticks.number
                if frame:
                    told = now
                    self.frames_sent += 1
                    self.ticks_skipped += skipped
                    yield frame
                if ticks.number == seen:  # none while the client took its frame
                    await ticks.wait(told + _BEAT_S - time.monotonic())

    @contextmanager
    def _watching(self, channels: Sequence[str], ticks: Ticks) -> Iterator[None]:
        for channel in channels:
            if not self._watched[channel] and self._left.pop(channel, None) is None:
                self._fill(channel)
            self._watched[channel] += 1
        ticks.clients += 1
        try:
            yield
        finally:
            ticks.clients -= 1
            for channel in channels:
                self._watched[channel] -= 1
                if not self._watched[channel]:
                    del self._watched[channel]
                    self._left[channel] = time.monotonic()

    def _fill(self, channel: str) -> None:
        """Have the rows in the hub that were there before anybody looked."""
        for key in self._told.get(channel) or self._board.keys(channel):
            self._hub.touch(channel, key)

    def _channels(self, view: View) -> tuple[str, ...]:
        match view.name:
            case "runs":
                return (TOTALS, RUNS_CHANNEL, LIGHT)
            case "run":
                return (streams_channel(view.run), episodes_channel(view.run))
            case "episode":
                assert view.place is not None
                return (view.place.channel,)
            case "health":
                return (TOTALS, COMPONENTS, WATCH, *TOLD)

    def _focused(self, view: View) -> AbstractContextManager[bool]:
        return nullcontext(True) if view.place is None else self._focus.on(view.place)

    # --- records and ticks -----------------------------------------------------------------------------------------

    def _take(self, records: Sequence[Taken]) -> None:
        now, wall_ms = time.monotonic(), time.time_ns() // 1_000_000
        for record in records:
            self._board.take(record, now, max(0.0, (wall_ms - record.timestamp_ms) / 1000))
        if records:
            self._heard()

    def _heard(self) -> None:
        self._slow.changed()
        self._fast.changed()

    def _advance(self) -> int:
        now = time.monotonic()
        self._board.tick(self._watched.keys() | self._left.keys(), now)
        self._say_trouble(min(self.behind_seconds(), now - self._began))
        for channel in [channel for channel, at in self._left.items() if now - at > _REMEMBERED_S]:
            del self._left[channel]
            self._hub.forget(channel)
            self._frames.forget(channel)
        return self._frames.tick()

    def _say_trouble(self, behind_s: float) -> None:
        """Say that the log has not reached this process for so long, and why; or that it does again."""
        silent, said = self._feed.trouble or behind_s >= _SILENT_S, self._told.get(LOG)
        if silent and not said:
            reason = self._feed.trouble or f"no heartbeat was read for {behind_s:.0f} s"
            since = time.time_ns() // 1000 - int(behind_s * 1e6)
            self.tell(LOG, {"": {"why": no_answer(self._kafka, reason), "since": since}})
        elif said and not silent:
            self.tell(LOG, {})

    def _row(self, channel: str, key: str) -> Row | None:
        if channel in self._told:
            return self._told[channel].get(key)
        if channel.startswith("steps/"):
            return self._focus.row(channel, key)
        return self._board.row(channel, key, time.monotonic())

    def _stored_steps(self, partition: int) -> int:
        """Return up to where ClickHouse has a partition of `steps`."""
        return self.below(STEPS.name).get(partition, 0)

    def _below_now(self) -> tuple[int, dict[str, int]]:
        return self._board.below.version, dict(self._board.below.all())

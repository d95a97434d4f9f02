"""Reads events of runs from the log, at a pace of its own, with a cursor that outlives the process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import asdict
from types import TracebackType
from typing import Self

from runbus.config.deadline import Deadline
from runbus.config.errors import ConfigError
from runbus.config.sources import read_sources
from runbus.kafka.model import StreamId, TopicPartition
from runbus.kafka.settings import KafkaSettings
from runbus.reader import process
from runbus.reader.buffer import Buffer
from runbus.reader.commits import CommitRequest
from runbus.reader.cursor import PartitionCursor
from runbus.reader.descriptions import Descriptions, OfAStream
from runbus.reader.errors import CursorNotSaved, ReaderClosed, ReaderForked
from runbus.reader.events import LogEvent, RunFinished, RunStarted
from runbus.reader.fetcher import Fetcher
from runbus.reader.handing import Handing
from runbus.reader.lag import LogEnds, ReaderLag, measure
from runbus.reader.names import check_instance, check_name
from runbus.reader.plan import OnUnreadable, Otherwise, Plan
from runbus.reader.selection import Selection
from runbus.reader.settings import ReaderSettings
from runbus.reader.start import Start, check_start

_COMMIT_S = 30.0  # a broker that starts again has this long
_OPEN_S = 30.0  # for the first partitions, where a call needs them
_FOREVER_S = 3600.0


class Reader:
    """Hands out the events of topics, in the order of the log within each partition.

    With a name it is a member of a consumer group, and its cursor is that group's: what was committed is not handed out
    again, whoever is killed; readers of one name share the partitions. Without a name it follows, and keeps nothing.
    It connects at its first call, and fetches in a thread of its own; a reader is used by one thread at a time.

    Args:
        name: of the cursor.
        topics: without the prefix: `steps`, `metrics`, `runs`, `episodes`, `live-metrics`, `heartbeats`, `control`.
        run, agent: a name, or a pattern with `*`, `?` and `[...]`. With both as names only the partition is read that
            holds them.
        start: where each partition begins: see Start. Default: `committed` with a name, else `latest`.
        otherwise: where a partition begins that has no cursor yet.
        instance: with a name, which of several processes this is: after a crash the next one of the same instance goes
            on at once, others wait for `RUNBUS_READER_SESSION_SECONDS`.
        on_unreadable: what becomes of a record that cannot be decoded: an `Unreadable` event, an `UnreadableRecord`
            that is raised, or nothing. Reading goes on behind it.
        settings: the Kafka to read from, or all settings of a reader; default: environment and configuration file.

    Raises:
        ConfigError: one of these is unusable.
    """

    def __init__(  # noqa: PLR0913 - the public constructor: everything by name, everything optional
        self,
        name: str | None = None,
        *,
        topics: str | Iterable[str] = "steps",
        run: str | None = None,
        agent: str | None = None,
        start: Start | None = None,
        otherwise: Otherwise = "beginning",
        instance: str = "",
        on_unreadable: OnUnreadable = "event",
        settings: KafkaSettings | ReaderSettings | None = None,
    ) -> None:
        found = settings if isinstance(settings, ReaderSettings) else ReaderSettings.load(read_sources(), settings)
        selection = Selection(found.kafka.topic_prefix, [topics] if isinstance(topics, str) else topics, run, agent)
        check_name(name)
        check_instance(instance, name)
        begin = start if start is not None else ("latest" if name is None else "committed")
        begin = check_start(begin, selection, named=name is not None)
        self._plan = Plan(found, name, instance, selection, begin, otherwise)
        self._buffer = Buffer(found.buffer_bytes)
        self._fetcher = Fetcher(self._plan, self._buffer)
        self._handing = Handing(self._buffer, selection, found.make_codec(), on_unreadable, begin)
        self._ends = LogEnds(found.kafka)
        self._descriptions = Descriptions(self._plan, found.make_codec())
        self._awaited = False
        self._begun = self._closed = self._forked = False

    # --- events -------------------------------------------------------------------------------------------------

    def poll(self, timeout: float | None = None) -> LogEvent | None:
        """Return the next event, or None if none came within `timeout` seconds; without one, wait for it.

        Ctrl-C loses no event: the next call returns what this one would have.

        Raises:
            ReaderClosed, ReaderForked
            UnreadableRecord: the next call goes on behind it.
            RunBusError: a person has to act; the text says how. Nothing is passed over.
        """
        self._begin()
        deadline = Deadline.after(_FOREVER_S if timeout is None else timeout, time.monotonic())
        while (event := self._next()) is None:
            left = deadline.remaining(time.monotonic())
            if not left and timeout is not None:
                return None
            self._buffer.arrived.wait(left or _FOREVER_S)
        return event

    def _next(self) -> LogEvent | None:
        """Return the next event if one waits. Raises like `poll`."""
        if self._closed:
            raise ReaderClosed(f"{self._plan} is closed: make a new one")
        event = self._handing.next()
        if event is None and self._fetcher.failed is not None:
            raise self._fetcher.failed
        return event

    def __iter__(self) -> Iterator[LogEvent]:
        """Return itself: iteration waits for events, and ends when the reader is closed."""
        return self

    def __next__(self) -> LogEvent:
        try:
            event = self.poll()
        except ReaderClosed:
            raise StopIteration from None
        assert event is not None
        return event

    def __aiter__(self) -> AsyncIterator[LogEvent]:
        """Return itself; the loop turns while it waits."""
        return self

    async def __anext__(self) -> LogEvent:
        try:
            self._begin()
            while (event := self._next()) is None:
                await self._buffer.arrived.wait_async()
        except ReaderClosed:
            raise StopAsyncIteration from None
        return event

    # --- the cursor ---------------------------------------------------------------------------------------------

    def commit(self) -> dict[TopicPartition, int]:
        """Save the cursor: everything that was returned so far, by whatever call, is not handed out again.

        Call it when the events that were returned are processed; what was returned since comes again after a crash.
        It waits for the broker's answer, 30 s at most.

        Returns:
            partition -> the next offset, of those that moved. A partition that another reader of this name got
            meanwhile is not among them: its events since the last commit are handed out there.

        Raises:
            CursorNotSaved: nothing of it, or nobody knows.
            RunBusError: a person has to act.
        """
        self._check()
        if self._plan.name is None:
            raise ConfigError("a reader without a name has no cursor to commit: give it a name, or keep `positions`")
        self._handing.settle()
        moved = {c: (c.position, c.settle().encode()) for c in self._cursors() if c.position != c.committed}
        if not moved:
            return {}
        request = CommitRequest(moved, Deadline.after(_COMMIT_S, time.monotonic()))
        self._fetcher.request(request)
        patience = Deadline.after(_COMMIT_S + 5, time.monotonic())
        while not (request.over or self._closed or self._fetcher.failed or patience.passed(time.monotonic())):
            request.done.wait(0.5)
        if request.saved is None:
            raise request.error or self._fetcher.failed or CursorNotSaved(f"{self._plan}: no answer; commit again")
        return request.saved

    async def commit_async(self) -> dict[TopicPartition, int]:
        """Do what `commit` does while the loop turns; await it before the next event is asked for."""
        return await asyncio.to_thread(self.commit)

    @property
    def positions(self) -> Mapping[TopicPartition, int]:
        """The next offset to be returned, of each partition that it has: `start=` takes it."""
        self._handing.settle()
        return {cursor.place: cursor.position for cursor in self._cursors()}

    def lag(self) -> ReaderLag:
        """Return how far behind it is, by what the broker says now; of the partitions that it has.

        Raises:
            BrokerUnavailable: it does not answer.
        """
        self._begin()
        self._await_partitions()
        self._handing.settle()
        cursors = self._cursors()
        return measure(cursors, self._ends.of([cursor.place for cursor in cursors]), self._buffer)

    def run_of(self, stream: OfAStream) -> RunStarted | RunFinished | None:
        """Return what the recorder said of the stream of an event: its config, spaces, labels and origin.

        It is looked up in `runs` the first time, and kept; it may take seconds there. None = the log has no such run.

        Raises:
            RunBusError: the topic cannot be read.
        """
        self._check()
        return self._descriptions.find(StreamId(stream.run_id, stream.agent_id, stream.attempt))

    def stats(self) -> dict[str, int]:
        """Return counts since it was made (see Counts), `passed_over` records, and `buffered` bytes."""
        return {
            **asdict(self._handing.counts),
            "passed_over": self._fetcher.passed_over,
            "buffered": self._buffer.size,
            "paused": int(self._fetcher.holds),
        }

    # --- begin and end ------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Leave the group and end: iteration ends, further calls raise ReaderClosed. Commits nothing."""
        if self._forked:
            return
        self._closed = True
        process.leave(self)
        self._fetcher.end()
        self._fetcher.join()

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    def after_fork(self) -> None:
        """Leave everything to the parent (called in a forked child)."""
        self._forked = True
        self._fetcher.after_fork()
        self._ends.after_fork()

    def _check(self) -> None:
        if self._forked:
            raise ReaderForked(f"{self._plan} was begun before the fork, by the parent: make a new one in this process")
        if self._closed:
            raise ReaderClosed(f"{self._plan} is closed: make a new one")

    def _begin(self) -> None:
        """Connect, the first time."""
        self._check()
        if not self._begun:
            self._begun = True
            process.join(self)
            self._fetcher.start()

    def _await_partitions(self) -> None:
        """Wait for the first partitions, once: a member may have none, because the others of its name have them."""
        deadline = Deadline.after(0.0 if self._awaited else _OPEN_S, time.monotonic())
        self._awaited = True
        while not self._cursors() and not deadline.passed(time.monotonic()):
            if self._fetcher.failed is not None:
                raise self._fetcher.failed
            self._check()
            time.sleep(0.01)

    def _cursors(self) -> list[PartitionCursor]:
        return [cursor for cursor in list(self._fetcher.cursors.values()) if not cursor.lost]

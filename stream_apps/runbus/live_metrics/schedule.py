"""Keeps in ordered queues, one for each reason, when streams are due, so that a tick need not look at all of them."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator

from runbus.kafka.model import StreamId
from runbus.live_metrics.stream import LiveStream


class EmissionSchedule:
    """Limits the rate of emissions: a stream that changed is due at once, or an interval after its last emission.

    A stream that is due and whose next batch is expected soon waits for it, at most a fifth of the interval. Without
    that the emissions of a steady stream (a batch every 50 ms) end up just before a batch, because they can only be
    late, and each of them is a whole batch old.

    Args:
        interval_us: least time between two emissions of a stream, by the wall clock.
    """

    def __init__(self, interval_us: int) -> None:
        self._interval_us = interval_us
        self._patience_us = interval_us // 5
        self._queue: list[tuple[int, int, LiveStream]] = []
        self._entries = 0
        self._now_us = 0

    def take_turn(self, stream: LiveStream, now_us: int) -> bool:
        """Let a stream that changed be emitted now (True), or queue it for when it is due (False)."""
        self._now_us = max(self._now_us, now_us)
        if stream.sent_us is None or not stream.sent_us <= now_us < stream.sent_us + self._interval_us:
            stream.entry, stream.awaited = 0, False
            return True
        if not stream.entry:
            self.put(stream, stream.sent_us + self._interval_us)
        return False

    def put(self, stream: LiveStream, due_us: int) -> None:
        """Queue a stream; an entry that it has is outdated then."""
        self._entries += 1
        stream.entry = self._entries
        heapq.heappush(self._queue, (due_us, self._entries, stream))

    def due(self, now_us: int) -> Iterator[LiveStream]:
        """Yield what is due, and take it off the queue."""
        if now_us < self._now_us:  # the wall clock was set back: waiting until it is past the old time could take hours
            self._queue = [(now_us, number, stream) for _, number, stream in self._queue]
            heapq.heapify(self._queue)
        self._now_us = now_us
        while self._queue and self._queue[0][0] <= now_us:
            due_us, number, stream = heapq.heappop(self._queue)
            if stream.entry != number:
                continue
            latest_us = due_us + self._patience_us
            if not stream.awaited and now_us < latest_us and self._is_about_to_change(stream, now_us, latest_us):
                stream.awaited = True
                self.put(stream, latest_us)
                continue
            stream.entry, stream.awaited = 0, False
            yield stream

    @staticmethod
    def _is_about_to_change(stream: LiveStream, now_us: int, latest_us: int) -> bool:
        """Return whether a stream's next batch is expected until `latest_us`; if half a batch late it still is."""
        expected_us = stream.came_us + stream.gap_us
        return expected_us <= latest_us and now_us < expected_us + stream.gap_us // 2


class PendingEnds:
    """Keeps FINISHED events until no more steps of their stream can come.

    They come again after a restart, so they are not state.

    Args:
        limit: so many wait; beyond that, the oldest is forgotten.
    """

    def __init__(self, limit: int) -> None:
        self.forgotten = 0
        self._limit = limit
        self._queue: list[tuple[int, StreamId]] = []

    def put(self, id_: StreamId, from_ms: int) -> None:
        """Let a stream end once stream time is past `from_ms`."""
        heapq.heappush(self._queue, (from_ms, id_))
        if len(self._queue) > self._limit:
            heapq.heappop(self._queue)
            self.forgotten += 1

    def due(self, watermark_ms: int) -> Iterator[StreamId]:
        """Yield what is due, and take it off the queue."""
        while self._queue and self._queue[0][0] < watermark_ms:
            yield heapq.heappop(self._queue)[1]


class FinishedStreams:
    """Keeps finished streams until they are forgotten.

    Args:
        keep_ms: for so much stream time.
    """

    def __init__(self, keep_ms: int) -> None:
        self._keep_ms = keep_ms
        self._queue: deque[LiveStream] = deque()

    def put(self, stream: LiveStream) -> None:
        """Take a stream that has finished; they come in the order of `finished_ms`."""
        self._queue.append(stream)

    def due(self, watermark_ms: int) -> Iterator[LiveStream]:
        """Yield the streams to be forgotten, and take them off the queue."""
        while self._queue and self._queue[0].finished_ms + self._keep_ms < watermark_ms:
            yield self._queue.popleft()

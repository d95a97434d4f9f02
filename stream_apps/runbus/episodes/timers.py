"""Keeps the timers of all streams in one heap, whose outdated entries are skipped."""

from __future__ import annotations

from heapq import heappop, heappush

from runbus.episodes.stream import EpisodeStream
from runbus.kafka.model import StreamId


class Timers:
    """One timer per stream; `EpisodeStream.scheduled` says which entry is valid. It is never later than what is due."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, StreamId]] = []

    def set(self, stream: EpisodeStream) -> None:
        """Make sure that a stream's timer fires when it is due, or before."""
        due = due_ms(stream)
        if stream.scheduled is None or due < stream.scheduled:
            stream.scheduled = due
            heappush(self._heap, (due, stream.identity))

    def next(self, streams: dict[StreamId, EpisodeStream], now_ms: int) -> tuple[EpisodeStream, int] | None:
        """Return the next stream that is due and when it was due, in the order of that time; None = no more."""
        while self._heap and self._heap[0][0] <= now_ms:
            at, identity = heappop(self._heap)
            stream = streams.get(identity)
            if stream is None or stream.scheduled != at:
                continue
            stream.scheduled = None
            due = due_ms(stream)
            if due == at:
                return stream, due
            self.set(stream)  # rows came since: later
        return None


def due_ms(stream: EpisodeStream) -> int:
    """Return the stream time at which a silent stream has something to do."""
    policy = stream.policy
    due = [stream.last_ms + policy.remember_ms]
    if stream.open.count:
        due = [stream.open.idle_since() + policy.idle_ms]
        if stream.superseded:
            due.append(stream.last_ms + policy.grace_ms)
    if stream.ends_ms is not None:
        due.append(stream.ends_ms)
    return min(due)

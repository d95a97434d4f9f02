"""Computes LiveMetrics of the streams of one partition: the core of `runbus live-metrics`."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice

from runbus.kafka.model import StreamId
from runbus.kafka.topics import LIVE_METRICS, stream_key
from runbus.live_metrics.schedule import EmissionSchedule, FinishedStreams, PendingEnds
from runbus.live_metrics.stream import NOT_FINISHED, LiveStream
from runbus.schemas.batch import StepBatch
from runbus.schemas.events import RunEvent
from runbus.streams.api import NOTHING, At, Change, Effects, Emission

INTERVAL_MS = 250
MAX_STREAMS = 10_000
#: A stream is silent after so much stream time without a new step.
SILENT_MS = 2_000
#: After a FINISHED event no step comes any more; so much is for brokers whose clocks differ.
END_MARGIN_MS = 1_000
#: A finished stream is forgotten after so much stream time.
KEEP_FINISHED_MS = 10 * 60_000
#: So many waiting streams are emitted in one tick; the others in the next ticks, a few hundredths of a second later.
#: After a restart all are due: more than that would hold up everything else, and overflow the queue of what is sent.
_MOST_A_TICK = 500
#: FINISHED events that wait, by streams: after a restart all those of a week come before the first record is read.
_ENDS_BY_STREAM = 10


class LiveMetricsCore:
    """A `Core` that computes live metrics. Totals are state; windows and rates start anew with the process.

    Args:
        position_name: "<topic>:<partition>", the name of the source in `positions`.
        interval_ms: least time between two events of one stream, by the wall clock.
        max_streams: beyond it the stream that is silent for longest is forgotten.
    """

    def __init__(self, position_name: str, *, interval_ms: int = INTERVAL_MS, max_streams: int = MAX_STREAMS) -> None:
        self._position_name = position_name
        self._max_streams = max_streams
        self._streams: OrderedDict[StreamId, LiveStream] = OrderedDict()  # in the order of their last new steps
        self._active: OrderedDict[StreamId, LiveStream] = OrderedDict()  # the same without the silent ones
        self._changed: dict[StreamId, None] = {}
        self._restored: list[LiveStream] = []
        self._schedule = EmissionSchedule(interval_ms * 1000)
        self._ends = PendingEnds(_ENDS_BY_STREAM * max_streams)
        self._finished = FinishedStreams(KEEP_FINISHED_MS)
        self._forgotten = self._forgotten_envs = self._duplicates = self._late_rows = 0

    def restore(self, key: bytes, value: bytes) -> None:
        """Take one stream back. Raises ValueError if it is none."""
        self._restored.append(LiveStream.decode(key, value))

    def apply(self, batch: StepBatch, at: At) -> Effects:
        """Take the steps of a batch that had not arrived before."""
        self._settle()
        header = batch.header
        id_ = StreamId(header.run_id, header.agent_id, header.attempt)
        stream = self._streams.get(id_) or self._open(id_)
        arrival = stream.received.take(header.first_seq, header.count)
        self._duplicates += arrival.duplicates
        if arrival.duplicates == header.count:
            return NOTHING
        late, forgotten_envs = stream.take(batch, arrival.fresh, at)
        self._late_rows += late
        self._forgotten_envs += forgotten_envs
        self._streams.move_to_end(id_)
        self._active[id_] = stream
        self._active.move_to_end(id_)
        self._changed[id_] = None
        if not self._schedule.take_turn(stream, at.now_us):
            return NOTHING
        return Effects((self._emission(stream, at, at.offset + 1),))

    def end(self, event: RunEvent, appended_ms: int, at: At) -> Effects:
        """Let a stream finish once stream time is a second past `appended_ms`."""
        self._settle()
        id_ = StreamId(event.run_id, event.agent_id, event.attempt)
        stream = self._streams.get(id_)
        from_ms = appended_ms + END_MARGIN_MS
        if at.watermark_ms <= from_ms:
            if stream is None or stream.finished_ms == NOT_FINISHED:
                self._ends.put(id_, from_ms)
            return NOTHING
        return _effects(self._finish(id_, at))

    def tick(self, at: At) -> Effects:
        """Finish, forget and emit the streams that are due, and note those that fell silent."""
        self._settle()
        emissions: list[Emission] = []
        for id_ in self._ends.due(at.watermark_ms):
            emissions += self._finish(id_, at)
        while self._active and next(iter(self._active.values())).last_ms + SILENT_MS < at.watermark_ms:
            id_, stream = self._active.popitem(last=False)
            stream.silent = True
            self._changed[id_] = None
            emissions += self._emit(stream, at)
        for stream in self._finished.due(at.watermark_ms):
            if self._is_held(stream):
                self._drop(stream)
        for stream in islice(self._schedule.due(at.now_us), _MOST_A_TICK):
            if self._is_held(stream):
                emissions.append(self._emission(stream, at, at.offset))
        return _effects(emissions)

    def changes(self) -> list[Change]:
        """Return the streams that changed, and forget that they did; None for those that were forgotten."""
        self._settle()
        found = [(id_, self._streams.get(id_)) for id_ in self._changed]
        self._changed.clear()
        return [Change(str(id_).encode(), None if stream is None else stream.encode()) for id_, stream in found]

    def size(self) -> dict[str, int]:
        """Return the number of streams held, and counts since the start: what was forgotten, duplicates, late rows."""
        return {
            "streams": len(self._streams) + len(self._restored),
            "forgotten": self._forgotten,
            "forgotten_envs": self._forgotten_envs,
            "forgotten_ends": self._ends.forgotten,
            "duplicates": self._duplicates,
            "late_rows": self._late_rows,
        }

    def _settle(self) -> None:
        """Put what was restored in the order it was in, and emit it: the last event may never have been sent."""
        if not self._restored:
            return
        restored, self._restored = self._restored, []
        for stream in sorted(restored, key=lambda s: s.last_offset):
            self._streams[stream.id] = stream
            self._schedule.put(stream, 0)
            if not stream.silent:
                self._active[stream.id] = stream
        for stream in sorted(restored, key=lambda s: s.finished_ms):
            if stream.finished_ms != NOT_FINISHED:
                self._finished.put(stream)
        self._make_room(self._max_streams)

    def _open(self, id_: StreamId) -> LiveStream:
        self._make_room(self._max_streams - 1)
        stream = self._streams[id_] = LiveStream(id_)
        return stream

    def _make_room(self, most: int) -> None:
        while len(self._streams) > most:
            self._drop(next(iter(self._streams.values())))
            self._forgotten += 1

    def _drop(self, stream: LiveStream) -> None:
        del self._streams[stream.id]
        self._active.pop(stream.id, None)
        self._changed[stream.id] = None

    def _is_held(self, stream: LiveStream) -> bool:
        return self._streams.get(stream.id) is stream

    def _finish(self, id_: StreamId, at: At) -> list[Emission]:
        stream = self._streams.get(id_)
        if stream is None or stream.finished_ms != NOT_FINISHED:
            return []
        changed = stream.finish(at)
        self._finished.put(stream)
        self._changed[id_] = None
        return self._emit(stream, at) if changed else []

    def _emit(self, stream: LiveStream, at: At) -> list[Emission]:
        return [self._emission(stream, at, at.offset)] if self._schedule.take_turn(stream, at.now_us) else []

    def _emission(self, stream: LiveStream, at: At, next_offset: int) -> Emission:
        stream.sent_us = at.now_us
        event = stream.metrics(at.now_us, {self._position_name: next_offset})
        return Emission(LIVE_METRICS, stream_key(stream.id.run_id, stream.id.agent_id), event)


def _effects(emissions: list[Emission]) -> Effects:
    return Effects(tuple(emissions)) if emissions else NOTHING

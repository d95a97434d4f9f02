"""Records a run again under a new name, through the path of every recorder: RunBus, courier, Kafka.

Batches, seq, attempts and wall times stay what they were, so that what is computed of the new run is what was
computed of the old one, bit for bit: sums of rewards depend on where batches begin.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace

import numpy as np

from runbus.config.errors import RunBusError
from runbus.kafka.model import StreamId
from runbus.recorder.bus import RunBus
from runbus.recorder.counts import StreamCounts
from runbus.recorder.courier import Courier
from runbus.recorder.events import StepsRecorded, StreamFinished, StreamStarted
from runbus.recorder.identity import now_us
from runbus.recorder.settings import CourierSettings
from runbus.recorder.size_limits import run_event_within
from runbus.replay.timeline import Moment, StepsAgain, StreamBegins, StreamEnds
from runbus.schemas.batch import StepBatch
from runbus.schemas.events import RunEvent

#: The name in the new run's config under which the original is.
LINK = "replay_of"
_STALLED_S = 60.0  # no step was delivered for so long: the broker is away
_POLL_S = 1.0


@dataclass(slots=True, kw_only=True)
class BatchRecorded(StepsRecorded):
    """A batch that is published as it is, under its new stream."""

    again: StepBatch

    def batch(self, *, sent_at: int = 0) -> StepBatch:
        """Return the batch; what this process drops counts besides what the original dropped."""
        h = self.again.header
        return replace(self.again, header=replace(h, sent_at=sent_at, dropped=h.dropped + self.counts.dropped))


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFinishedAgain(StreamFinished):
    """The end of a stream whose counts are those of the original."""

    dropped: int

    def final(self, now_us: int) -> RunEvent:
        """Return the event; what this process dropped counts besides what the original dropped."""
        final = StreamFinished.final(self, now_us)
        return replace(final, dropped=self.dropped + self.counts.dropped)


@dataclass(slots=True)
class _Stream:
    """One stream that is recorded again.

    Attributes:
        started: its STARTED event.
        counts: what was published and delivered here.
        base: steps before the first one that is replayed, as far as the original had them: they count as dropped.
        next_seq, dropped: as far as it has come.
        episodes: that ended.
    """

    started: RunEvent
    counts: StreamCounts
    base: int | None = None
    next_seq: int = 0
    dropped: int = 0
    episodes: int = 0
    ended: bool = False


@dataclass(slots=True)
class Sums:
    """What was recorded again: streams, records, steps; and what was dropped on the way."""

    streams: int = 0
    records: int = 0
    steps: int = 0
    dropped: int = 0


class NewRun:
    """Records a run again.

    Args:
        original: name of the run.
        run: its new name.
        settings: of the courier; its policy becomes `block`: a replay waits, and drops nothing.
        whole: nothing is left out, so that counts and ends are those of the original.
    """

    def __init__(self, original: str, run: str, settings: CourierSettings, *, whole: bool) -> None:
        self._original = original
        self._run = run
        self._whole = whole
        self._flush_s = settings.flush_seconds
        self._bus = RunBus()
        self._courier = Courier(self._bus, replace(settings, policy="block"))
        self._streams: dict[StreamId, _Stream] = {}
        self.sums = Sums()

    def take(self, moment: Moment) -> None:
        """Publish one moment; it waits while too much is under way."""
        match moment:
            case StreamBegins():
                self._begin(moment)
            case StepsAgain():
                self._steps(moment)
            case StreamEnds():
                self._end(moment.stream, moment.event)

    def close(self, *, interrupted: bool = False) -> Sums:
        """End what is open, wait until everything is delivered, and return the sums.

        Args:
            interrupted: wait only as long as the end of an agent does.

        Raises:
            RunBusError: Kafka does not take it.
        """
        for stream in list(self._streams):
            self._end(stream, None)
        try:
            if interrupted:
                self._courier.flush(self._flush_s)
            else:
                self._deliver()
        finally:
            self._courier.stop()
        self.sums.dropped = sum(one.counts.dropped for one in self._streams.values())
        return self.sums

    def _deliver(self) -> None:
        delivered, since = -1, time.monotonic()
        while not self._courier.flush(_POLL_S):
            now = sum(one.counts.delivered for one in self._streams.values())
            if now != delivered:
                delivered, since = now, time.monotonic()
            elif time.monotonic() - since > _STALLED_S:
                left = sum(self._courier.undelivered.values())
                raise RunBusError(
                    f"{left} steps of {self._run} were not delivered to Kafka at {self._courier.address}: it did not "
                    f"answer for {_STALLED_S:.0f} s; replay again, as another run"
                )

    def _begin(self, moment: StreamBegins) -> None:
        event = run_event_within(self._renamed(moment.event))
        counts = StreamCounts(StreamId(self._run, *moment.stream[1:]))
        self._streams[moment.stream] = _Stream(event, counts)
        self._courier.follow(counts)
        self._bus.publish(StreamStarted(counts, event), events=0)
        self.sums.streams += 1

    def _renamed(self, event: RunEvent) -> RunEvent:
        """Return the STARTED event of the new stream."""
        return replace(
            event,
            run_id=self._run,
            kind="STARTED",
            sent_at=now_us(),
            config=linked(event.config, self._original),
            produced=0,
            dropped=0,
            episodes=0,
            outcome="",
            error="",
            summary="{}",
            logged={},
            commands="",
            metrics=0,
            metrics_dropped=0,
            parent=_parent(event.parent, self._original, self._run),
        )

    def _steps(self, moment: StepsAgain) -> None:
        stream = self._streams.get(moment.stream)
        if stream is None:
            return
        header = moment.batch.header
        if stream.base is None:
            stream.base = 0 if self._whole else header.first_seq - header.dropped
        stream.next_seq = max(stream.next_seq, header.next_seq)
        stream.dropped = max(stream.dropped, header.dropped + stream.base)
        stream.episodes += _ends(moment.batch)
        new = replace(header, run_id=self._run, dropped=header.dropped + stream.base)
        size = len(moment.message.value() or b"")
        batch = BatchRecorded(
            counts=stream.counts,
            again=replace(moment.batch, header=new),
            first_seq=header.first_seq,
            count=header.count,
            nbytes=size,
            closed_at=time.monotonic(),
        )
        stream.counts.produced += header.count
        self.sums.records += 1
        self.sums.steps += header.count
        self._bus.publish(batch, events=header.count, nbytes=size)

    def _end(self, id_: StreamId, event: RunEvent | None) -> None:
        stream = self._streams[id_]
        if stream.ended:
            return
        stream.ended = True
        whole = event if event is not None and self._whole and event.kind == "FINISHED" else None
        finished = StreamFinishedAgain(
            counts=stream.counts,
            event=stream.started,
            outcome="interrupted" if whole is None else whole.outcome,
            error=self._why(event) if whole is None else whole.error,
            episodes=stream.episodes if whole is None else whole.episodes,
            summary="{}" if event is None else event.summary,
            produced=stream.next_seq if whole is None else whole.produced,
            logged={} if event is None else event.logged,
            dropped=stream.dropped if whole is None else whole.dropped,
        )
        self._bus.publish(finished, events=0)

    def _why(self, event: RunEvent | None) -> str:
        """Return why a stream ends here that did not end so."""
        if event is None:
            return "the replay was interrupted"
        return "only a part was replayed" if not self._whole else "the original had not ended when it was replayed"


def linked(config: str, original: str) -> str:
    """Return a config, as JSON, that also names the original run."""
    try:
        known = json.loads(config)
    except ValueError:
        known = {}
    found = known if isinstance(known, dict) else {"config": known}
    return json.dumps({**found, LINK: original}, separators=(",", ":"), ensure_ascii=False)


def _parent(parent: str, original: str, run: str) -> str:
    """Return the parent stream, which is recorded again too if it is of the same run."""
    return run + parent.removeprefix(original) if parent.startswith(original + "/") else parent


def _ends(batch: StepBatch) -> int:
    return int(np.count_nonzero(batch.columns.terminated | batch.columns.truncated))

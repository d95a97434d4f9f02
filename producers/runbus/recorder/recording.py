"""Holds what a recorder fills in this process: one stream, from its first row until its end.

The process keeps it, not the recorder: a recorder that is forgotten without close() can be collected, and its stream is
still delivered and ended.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from os import PathLike

from runbus.kafka.model import StreamId
from runbus.recorder.artifact import PATIENCE_S, Artifact
from runbus.recorder.bus import RunBus
from runbus.recorder.courier import Courier
from runbus.recorder.events import RowsRecorded, StreamFinished, StreamStarted
from runbus.recorder.file_reference import FileReference
from runbus.recorder.hashing import Hashing
from runbus.recorder.identity import now_us
from runbus.recorder.journal.opening import begin_journal, stream_class
from runbus.recorder.journal.settings import JournalSettings
from runbus.recorder.journal.stream import JournaledStream
from runbus.recorder.metric_stream import MetricStream
from runbus.recorder.open_batch import StreamEnded
from runbus.recorder.outcome import exception_so_far
from runbus.recorder.size_limits import run_event_within
from runbus.recorder.stream import RecordedStream
from runbus.recorder.stream_complaints import StreamComplaints
from runbus.recorder.structure import structure_of_space
from runbus.recorder.text import json_text
from runbus.recorder.values import Observations
from runbus.schemas.events import Outcome, RunEvent

FORGOTTEN = "nothing refers to the recorder any more, and it was not closed"


class Recording:
    """One open stream of this process. Publishes its start at construction.

    Args:
        started: the event that begins it.
        observations: which ones to record; see Recorder.
        courier: that delivers the bus; None = nobody.
        complaints: are told what could not be kept.
        left_behind: called in a forked child, where this stream is the parent's.
        journal: where rows are kept until they are delivered; None = nowhere.

    Attributes:
        bus: where it is published.
        stream: takes the rows.
        metrics: takes metrics and scores; None = there was none so far.
        hashing: hashes artifacts.
        summary: the last value of each name that was logged.
        forgotten: nothing refers to the recorder any more. Set wherever garbage is collected, so it only is a flag; the
            next tick ends the stream.
        known_exception: id of the uncaught exception that Python had noted when the stream began: it ended another one.
    """

    def __init__(
        self,
        started: RunEvent,
        observations: Observations,
        bus: RunBus,
        courier: Courier | None,
        complaints: StreamComplaints,
        left_behind: Callable[[], None],
        journal: JournalSettings | None = None,
    ) -> None:
        self.bus = bus
        self.courier = courier
        id_ = StreamId(started.run_id, started.agent_id, started.attempt)
        self._started = run_event_within(started)
        self.journal = None if journal is None else begin_journal(self._started, journal, complaints)
        kind = RecordedStream if journal is None or self.journal is None else stream_class(journal)
        self.stream = kind(
            id_,
            observations,
            self._publish,
            unannounced=complaints.unannounced,
            remark=complaints.left_out,
            spaces=(structure_of_space(started.action_space), structure_of_space(started.observation_space)),
        )
        if isinstance(self.stream, JournaledStream) and self.journal is not None:
            self.stream.journal = self.stream.counts.journal = self.journal
        self.metrics: MetricStream | None = None
        self.hashing = Hashing()
        self.summary: dict[str, float] = {}
        self.forgotten = False
        self.known_exception = id(exception_so_far())
        self._left_behind = left_behind
        self._metrics_left_out = complaints.metrics_left_out
        self._over = False
        if courier is not None:
            courier.follow(self.stream.counts)
        bus.publish(StreamStarted(self.stream.counts, self._started), events=0)

    def tick(self) -> bool:
        """Publish the open batch if it is due; end the stream if its recorder is gone. Return whether it is open."""
        if self.forgotten:
            self.end("interrupted", FORGOTTEN)
        else:
            self.stream.close_if_old()
            if self.metrics is not None:
                self.metrics.close_if_old()
        return not self._over

    def close_batch(self) -> None:
        """Publish what is recorded so far."""
        self.stream.close()
        if self.metrics is not None:
            self.metrics.close()

    def begin_metrics(self) -> MetricStream:
        """Return what takes metrics; begins it at the first call."""
        with self.stream.lock:
            if self.metrics is None:
                metrics = MetricStream(self.stream.counts.id, self._publish, self._metrics_left_out)
                if self.courier is not None:
                    self.courier.follow(metrics.counts)
                if self._over:
                    metrics.end()
                self.metrics = metrics
            return self.metrics

    def artifact(self, given: str | PathLike[str], artifact: Artifact) -> None:
        """Record an artifact once it is hashed; one that is not on this machine, at once."""
        metrics = self.begin_metrics()

        def found(reference: FileReference, why: str) -> None:
            with suppress(StreamEnded):  # the stream has ended without it: it has waited long enough
                metrics.artifact(artifact, reference, why)

        self.hashing.add(given, found)

    def end(self, outcome: Outcome, error: str) -> bool:
        """Publish what is open, then the end; return False if that was done before.

        Files that are being hashed are waited for, but not for long.
        """
        if self.forgotten:
            outcome, error = "interrupted", FORGOTTEN
        if not self.hashing.wait(0.0 if self.forgotten else PATIENCE_S):
            self.hashing.give_up()
        with self.stream.lock:
            if self._over:
                return False
            self._over = True
            self.stream.end()
            if self.metrics is not None:
                self.metrics.end()
            finished = self._finished(outcome, error)
            if self.journal is not None:
                self.journal.finish(finished)
            self.bus.publish(finished, events=0)
        return True

    def beside(self, other: StreamId, /) -> None:
        """Publish the start again if another stream of this agent has begun: a newer attempt that replaces none."""
        mine = self.stream.counts.id
        if (mine.run_id, mine.agent_id) == (other.run_id, other.agent_id) and not (self._over or self.forgotten):
            again = replace(self._started, sent_at=max(now_us(), other.attempt + 1))
            self.bus.publish(StreamStarted(self.stream.counts, again), events=0)

    def say_commands(self, commands: str) -> None:
        """Publish the start again with what the stream was told and answered, JSON; the end will repeat it."""
        with self.stream.lock:
            self._started = replace(self._started, commands=commands)
            if self.journal is not None:
                self.journal.say(self._started)
            if not self._over:
                self.bus.publish(StreamStarted(self.stream.counts, replace(self._started, sent_at=now_us())), events=0)

    def after_fork(self) -> None:
        """Leave this stream to the parent (called in a forked child)."""
        self._left_behind()

    def _publish(self, rows: RowsRecorded) -> None:
        self.bus.publish(rows, events=rows.count, nbytes=rows.nbytes)

    def _finished(self, outcome: Outcome, error: str) -> StreamFinished:
        return StreamFinished(
            counts=self.stream.counts,
            event=self._started,
            outcome=outcome,
            error=error.encode("utf-8", "replace").decode(),
            episodes=self.stream.positions.episodes,
            summary=json_text(self.summary),
            produced=self.stream.counts.produced,
            logged=self.stream.take_pending(),
            metrics=self.metrics.counts if self.metrics is not None else None,
        )

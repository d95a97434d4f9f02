"""Delivers the journal of a process that is dead: exactly what the log lacks, then the end of its stream.

The rows go through the courier, as those of a living recorder do. If the log may not be read, every row that was not
acknowledged is sent, with a header that says so: what was there already is there twice in the log, and is recognised by
its seq (docs/journal.md).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from runbus.kafka.errors import RightMissing
from runbus.kafka.headers import RESENT
from runbus.kafka.model import StreamId
from runbus.recorder.bus import RunBus
from runbus.recorder.counts import StreamCounts
from runbus.recorder.courier import Courier
from runbus.recorder.events import RecorderEvent, StepsRecorded, StreamFinished, StreamStarted
from runbus.recorder.journal import folder as folders
from runbus.recorder.journal.folder import Lock
from runbus.recorder.journal.format import NO_PARTITION, Ack
from runbus.recorder.journal.in_log import InLog, rows_in_log
from runbus.recorder.journal.journal import Journal
from runbus.recorder.journal.reading import Reading, Survey, survey
from runbus.recorder.journal.room import Room
from runbus.recorder.journal.rows import part_of
from runbus.recorder.journal.settings import JournalSettings
from runbus.recorder.settings import CourierSettings
from runbus.schemas.events import RunEvent

log = logging.getLogger(__name__)

CRASHED = "the process ended without closing its recorder: it was killed, or crashed"
_AT_ONCE = 16  # batches on their way; the rest stays in the journal
_LOOK_S = 0.01
_NO_LIMIT = 2**62


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one journal.

    Attributes:
        path: its folder.
        stream: whose rows it has; None = nothing in it can be read.
        sent: rows that were sent and acknowledged.
        in_log: rows that the log had already.
        lost: rows that are neither in the journal nor in the log, and those that no record can hold.
        resent: whether rows were sent that the log may have had, as this user may not read it.
        damaged: parts that were set aside.
        done: whether everything is delivered, and the journal removed.
        why: if it is not done.
    """

    path: Path
    stream: StreamId | None = None
    sent: int = 0
    in_log: int = 0
    lost: int = 0
    resent: bool = False
    damaged: int = 0
    done: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a journal is delivered.

    Attributes:
        patience: seconds without any progress after which it is left for the next time.
        resend: if this user may not read the log, send also what it may have already; else leave the journal.
        stop: set = leave it at once.
        on_courier: is shown the courier before it begins.
    """

    patience: float = 30.0
    resend: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    on_courier: Callable[[Courier], None] = lambda _: None


def deliver(path: Path, settings: CourierSettings, manner: Manner = Manner()) -> Delivery:
    """Deliver one journal.

    Args:
        path: its folder.
        settings: of the broker.
        manner: how.

    Raises:
        BrokerUnavailable, TopicMissing: the log cannot be read.
        RightMissing: likewise, and nothing may be sent twice.
        OSError: the folder cannot be read.
    """
    lock = Lock.take(path)
    if lock is None:
        return Delivery(path, why="a living process has it")
    try:
        said = survey(path)
        if said.unread:
            return Delivery(path, why=next(flaw.why for flaw in said.flaws))
        started = _start_of(said)
        if started is None:
            if not said.rows and not said.flaws:
                folders.remove(path)  # its process was killed before it had written anything
                return Delivery(path, done=True)
            return Delivery(path, damaged=_set_aside(said), why="no segment says whose rows these are")
        damaged = _set_aside(said)
        return replace(_Delivering(path, lock, said, started, settings, manner).run(), damaged=damaged)
    finally:
        lock.drop()


def _start_of(said: Survey) -> RunEvent | None:
    if said.started is not None or said.header is None:
        return said.started
    run, agent, attempt = said.header.stream
    return RunEvent(
        run_id=run, agent_id=agent, attempt=attempt, kind="STARTED", sent_at=attempt, started_at=attempt,
        host=said.header.host, pid=said.header.pid,
    )  # fmt: skip


def _set_aside(said: Survey) -> int:
    """Write the parts that cannot be read into files of their own; return how many. A torn tail is nothing to keep."""
    found = [flaw for flaw in said.flaws if not flaw.torn]
    for flaw in found:
        with suppress(OSError):
            raw = (said.path / flaw.segment).read_bytes()[flaw.at : flaw.end]
            (said.path / f"{folders.DAMAGED}-{flaw.segment}-{flaw.at}").write_bytes(raw)
    if found:
        log.warning(
            "%d parts of the journal %s are damaged: they are set aside there; the first: %s, bytes %d to %d: %s",
            len(found),
            said.path,
            found[0].segment,
            found[0].at,
            found[0].end,
            found[0].why,
        )
    return len(found)


class _Delivering:
    """Delivers one journal whose lock is held."""

    def __init__(
        self, path: Path, lock: Lock, said: Survey, started: RunEvent, settings: CourierSettings, manner: Manner
    ) -> None:
        self._path = path
        self._lock = lock
        self._said = said
        self._started = started
        self._settings = settings
        self._manner = manner
        self._stream = StreamId(started.run_id, started.agent_id, started.attempt)
        self._counts = StreamCounts(self._stream)
        self._in_log = InLog()
        self._found = 0
        self._sent = 0

    def run(self) -> Delivery:
        """Deliver it. Raises like `deliver`."""
        ack = self._said.ack or Ack(NO_PARTITION, -1, 0, 0)
        first = folders.segments(self._path)[:1]
        if self._said.rows and first and first[0].name != folders.segment_name(0):
            ack = ack._replace(next_seq=max(ack.next_seq, self._said.first_seq))  # older segments went with their acks
        looked = True
        try:
            self._in_log = rows_in_log(self._settings.kafka, self._settings.make_codec(), self._stream, self._said.ack)
        except RightMissing:
            if not self._manner.resend:
                raise
            looked = False
        journal = self._take_over(ack)
        courier = Courier(RunBus(), self._settings, () if looked else ((RESENT, b"1"),))
        self._manner.on_courier(courier)
        courier.follow(self._counts)
        try:
            self._send(courier, ack)
            done = self._wait(courier, 0)
        finally:
            courier.stop()
            journal.leave()
        done = done and not folders.segments(self._path)
        delivered, dropped = self._counts.ended
        return Delivery(
            self._path,
            self._stream,
            sent=delivered - (ack.next_seq - ack.dropped) - self._found,
            in_log=self._found,
            lost=dropped - ack.dropped,
            resent=not looked,
            done=done,
            why="" if done else f"Kafka at {courier.address} did not take it",
        )

    def _take_over(self, ack: Ack) -> Journal:
        """Return the journal, into which acks go from now on."""
        numbers = [int(path.name.partition(".")[0]) for path in folders.segments(self._path)]
        settings = JournalSettings(path=self._path.parent)
        journal = Journal(
            self._path,
            self._lock,
            self._stream,
            self._started,
            settings,
            Room(_NO_LIMIT),
            first_segment=max(numbers, default=-1) + 1,
            begin=ack,
        )
        journal.resume()
        self._counts.journal = journal
        self._counts.drop(ack.dropped)
        self._counts.deliver(ack.next_seq - ack.dropped)
        self._counts.produced = max(self._said.next_seq, ack.next_seq, self._in_log.end, self._end("produced", 0))
        return journal

    def _end(self, name: str, otherwise: int) -> int:
        return int((self._said.finished or {}).get(name, otherwise))

    def _send(self, courier: Courier, ack: Ack) -> None:
        if not ack.next_seq and not self._in_log.end:
            self._publish(courier, StreamStarted(self._counts, self._started), 0, 0)
        reading = Reading(self._counts, ack.next_seq)
        at = ack.next_seq
        for batch in self._batches(reading):
            self._skip(at, batch.first_seq)
            at = batch.first_seq + batch.count
            for first, end, there in self._in_log.split(batch.first_seq, at):
                if there:
                    self._skip(first, end)
                    continue
                part = part_of(batch, first - batch.first_seq, end - batch.first_seq)
                if not self._publish(courier, part, part.count, part.nbytes):
                    return
        self._skip(at, self._counts.produced)
        ended = self._said.finished or {}
        self._publish(
            courier,
            StreamFinished(
                counts=self._counts,
                event=self._started,
                outcome=ended.get("outcome", "interrupted"),
                error=ended.get("error", CRASHED),
                episodes=self._end("episodes", reading.episodes),
                summary=ended.get("summary", "{}"),
                produced=self._counts.produced,
                logged=ended.get("logged", {}),
            ),
            0,
            0,
        )

    def _batches(self, reading: Reading) -> Iterator[StepsRecorded]:
        for path in folders.segments(self._path):
            yield from reading.batches(path)
        yield from reading.rest()

    def _skip(self, first: int, end: int) -> None:
        """Count rows that are not sent: the log has them, or they are lost."""
        journal = self._counts.journal
        assert journal is not None, "it is taken over"
        for low, high, there in self._in_log.split(first, end):
            if there:
                self._found += high - low
                self._counts.deliver(high - low)
                journal.delivered(low, high - low, NO_PARTITION, -1)
            else:
                self._counts.drop(high - low)
                journal.given_up(low, high - low)

    def _publish(self, courier: Courier, event: RecorderEvent, events: int, nbytes: int) -> bool:
        if not self._wait(courier, _AT_ONCE):
            return False
        courier.publish(event, events=events, nbytes=nbytes)
        return True

    def _wait(self, courier: Courier, most: int) -> bool:
        """Wait until at most `most` pieces are on their way; return False if nothing moves for too long."""
        moved, left = time.monotonic(), courier.unfinished
        while left > most:
            if self._manner.stop.wait(_LOOK_S):
                return False
            now = courier.unfinished
            if now < left:
                moved = time.monotonic()
            elif time.monotonic() - moved > self._manner.patience:
                return False
            left = now
        return True

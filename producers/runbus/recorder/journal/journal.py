"""Keeps the rows of one stream on disk until Kafka has them. No error of the disk reaches the loop."""

from __future__ import annotations

import errno
import json
import logging
import os
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from runbus.kafka.model import StreamId
from runbus.recorder.complaints import Complaints
from runbus.recorder.counts import StreamCounts
from runbus.recorder.events import StepsRecorded, StreamFinished
from runbus.recorder.identity import host
from runbus.recorder.journal import folder as folders
from runbus.recorder.journal.folder import Lock
from runbus.recorder.journal.format import ACK, FINISHED, ROWS, STARTED, Ack, Header, record
from runbus.recorder.journal.reading import Reading
from runbus.recorder.journal.room import ROOMS, Room
from runbus.recorder.journal.rows import rows_since
from runbus.recorder.journal.segments import Segments
from runbus.recorder.journal.settings import JournalSettings
from runbus.recorder.journal.settled import Settled
from runbus.schemas.events import RunEvent
from runbus.schemas.layout import Layout

log = logging.getLogger(__name__)

_RETRY_S = 1.0  # after an error of the disk
_SYNC_S = 1.0


class Journal:
    """The journal of one stream that this process owns.

    Rows, start and end are written under the stream's lock, acks by the courier's thread.

    Attributes:
        path: its folder.
        batch, rows, action: the open batch, how many rows of it are written, and the layout of its actions if that is.
        plain_at: count of the open batch whose last row can go to `descriptor` as a record of its own; -1 = it cannot.
        kept, unkept: rows that are, and are not, in the journal; in batches that were closed.
        orphans: returns how many journals of dead processes lie beside it.
    """

    def __init__(
        self,
        path: Path,
        lock: Lock,
        stream: StreamId,
        started: RunEvent | None,
        settings: JournalSettings,
        room: Room,
        *,
        first_segment: int = 0,
        begin: Ack | None = None,
    ) -> None:
        self.path = path
        self.kept = 0
        self.unkept = 0
        self.orphans: Callable[[], int] = lambda: 0
        self._lock = lock
        self._stream = stream
        self._started = started
        self._settings = settings
        self._room = room
        self._settled = Settled(begin)
        self._segments = Segments(
            path, self._header, self._opening, room, each=settings.fsync == "each", first=first_segment
        )
        self._complaints = Complaints(log)
        self.batch: StepsRecorded | None = None
        self.rows = 0
        self.action: Layout | None = None
        self.descriptor = -1
        self.plain_at = -1
        self._skips = False
        self._retry_at = 0.0
        self._synced_at = time.monotonic()
        self._closed = False
        OPEN.add(self)

    @classmethod
    def begin(cls, started: RunEvent, settings: JournalSettings) -> Journal:
        """Make the journal of a stream that begins. Raises OSError."""
        assert settings.path is not None, "no journal was asked for"
        root = settings.path.absolute()
        path = root / folders.name_of(started.attempt)
        path.mkdir(parents=True, mode=0o700)
        lock = None
        for _ in range(5):  # who looks whether it has an owner holds it for a moment
            lock = Lock.take(path, create=True)
            if lock is not None:
                break
            time.sleep(0.001)
        if lock is None:
            raise OSError(f"the lock of {path} is taken")
        stream = StreamId(started.run_id, started.agent_id, started.attempt)
        journal = cls(path, lock, stream, started, settings, ROOMS.of(root, settings.limit_bytes))
        try:
            journal._segments.roll()
        except OSError:
            journal.remove()
            raise
        return journal

    def resume(self) -> None:
        """Begin a segment for the acks of a journal that was taken over; without one, less is known the next time."""
        try:
            self._segments.roll()
        except OSError as error:
            self._failed(error)

    def _header(self, number: int) -> Header:
        return Header(self._stream, host(), folders.boot(), os.getpid(), number, self._settings.mode)

    def _opening(self) -> bytes:
        """Return what every segment begins with, so that each can be read without those before it."""
        ack = self._settled.ack
        opening = record(ACK, ack.next_seq, ack.encode())
        if self._started is not None:
            opening = record(STARTED, 0, json.dumps(asdict(self._started)).encode()) + opening
        return opening

    # --- the stream, under its lock -----------------------------------------------------------------------------

    def keep(self, batch: StepsRecorded, first_seq: int, episodes: int) -> None:
        """Write the rows of the open batch that are not written yet.

        Args:
            batch: the open one.
            first_seq: of its first row.
            episodes: of the stream, begun so far.
        """
        if batch is not self.batch:
            self._begin_batch(batch)
        start = self.rows
        if self._skips or batch.count <= start:
            return
        try:
            data = rows_since(batch, start, action_said=self.action is not None, episodes=episodes)
            self._segments.append(ROWS, first_seq + start, data)
        except OSError as error:
            self._skips = True
            self._failed(error)
        except Exception:
            self._skips = True
            log.exception("rows of %s could not be written to the journal", self._stream)
        else:
            self.rows = batch.count
            self.action, self.descriptor = batch.action, self._segments.descriptor
            self.plain_at = self.rows + 1 if batch.action is not None else -1

    def cut_short(self, error: OSError | None = None) -> None:
        """Take no more rows of the open batch: one could not be written, or not all of it."""
        self._segments.break_off()
        self._skips, self.plain_at = True, -1
        self._failed(error or OSError(errno.ENOSPC, "only a part of a record could be written"))

    def close_batch(self, batch: StepsRecorded, first_seq: int, episodes: int) -> bool:
        """Write what is left of a batch that is closed; return whether the journal has all of it."""
        self.keep(batch, first_seq, episodes)
        self._segments.count()
        self._segments.has_rows_to(first_seq + batch.count)
        whole = batch is self.batch and not self._skips and self.rows == batch.count
        if whole:
            self.kept += batch.count
        else:
            self.unkept += batch.count
        self.batch, self.plain_at = None, -1
        return whole

    def _begin_batch(self, batch: StepsRecorded) -> None:
        self.batch, self.rows, self.action, self.plain_at = batch, 0, None, -1
        self._skips = self._closed or time.monotonic() < self._retry_at or not self._has_room()
        if not self._skips and self._segments.must_roll:
            try:  # a batch lies in one segment, so that its layouts are read with it
                self._segments.roll()
            except OSError as error:
                self._skips = True
                self._failed(error)

    def _has_room(self) -> bool:
        if not self._room.full:
            return True
        if self._settings.full == "block" and self._room.wait():
            return True
        self._complaints.say(
            "full",
            "the journal at %s has the %d MiB that it may have: steps are not kept in it until Kafka has taken some, "
            "and a crash would lose them. They are counted; raise RUNBUS_RECORDER_JOURNAL_MB",
            self._settings.path,
            self._room.limit // 2**20,
        )
        return False

    def say(self, started: RunEvent) -> None:
        """Write the start of the stream again: it says more now."""
        self._started = started
        self._append(STARTED, 0, json.dumps(asdict(started)).encode())

    def finish(self, finished: StreamFinished) -> None:
        """Write how the stream ended."""
        said = {
            "outcome": finished.outcome,
            "error": finished.error,
            "episodes": finished.episodes,
            "summary": finished.summary,
            "produced": finished.produced,
            "logged": dict(finished.logged),
        }
        self._append(FINISHED, finished.produced, json.dumps(said).encode())

    def _append(self, kind: int, seq: int, data: bytes) -> None:
        if self._closed:
            return
        try:
            self._segments.append(kind, seq, data)
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        self._retry_at = time.monotonic() + _RETRY_S
        self._complaints.say(
            f"disk {error.errno}",
            "the journal at %s cannot be written: %s. The agent goes on; steps are not kept in it until it can, and a "
            "crash would lose them. They are counted",
            self.path,
            error.strerror or error,
        )

    # --- the courier --------------------------------------------------------------------------------------------

    def delivered(self, first: int, count: int, partition: int, offset: int) -> None:
        """Note that Kafka has rows; delete what is not needed any more."""
        if self._settled.add(first, count, dropped=False, partition=partition, offset=offset):
            self._write_ack()

    def given_up(self, first: int, count: int) -> None:
        """Note that rows were dropped: nobody waits for them. From any thread."""
        self._settled.add(first, count, dropped=True)

    def _write_ack(self) -> None:
        if self._closed:
            return
        ack = self._settled.ack
        try:
            self._segments.append_ack(record(ACK, ack.next_seq, ack.encode()))
            self._segments.delete_below(ack.next_seq)  # after its ack: whoever comes later must not miss them
        except OSError as error:
            self._failed(error)

    def sync(self) -> None:
        """Ask the disk to have what was written, once a second, if the settings say so."""
        now = time.monotonic()
        if self._closed or self._settings.fsync != "1s" or now < self._synced_at + _SYNC_S:
            return
        self._synced_at = now
        try:
            self._segments.sync()
        except OSError as error:
            self._failed(error)

    def read(self, counts: StreamCounts, first: int) -> Iterator[StepsRecorded]:
        """Yield the batches from row `first` on, as the process closed them; ends at what is written now."""
        reading = Reading(counts, first)
        for number in self._segments.numbers:
            if number >= self._segments.holds(first):
                yield from reading.batches(self._segments.path(number))
        yield from reading.rest()

    def remove(self) -> None:
        """Delete the journal: Kafka has all of the stream, its end too."""
        if self._closed:
            return
        self._closed = True
        self._segments.close()
        folders.remove(self.path)
        self._lock.drop()

    def leave(self) -> None:
        """Give it up as it is: somebody else delivers it."""
        if not self._closed:
            self._closed = True
            self._segments.close()
            self._lock.drop()

    def after_fork(self) -> None:
        """Leave it to the parent (called in a forked child)."""
        self._closed = True
        self._segments.after_fork()

    def stats(self) -> dict[str, int]:
        """Return rows that are and are not kept, bytes of this process's journals, orphans, and what went wrong."""
        counts = {"kept": self.kept, "unkept": self.unkept, "bytes": self._room.used, "orphans": self.orphans()}
        return {**counts, **self._complaints.counts()}


#: the journals that this process owns
OPEN: weakref.WeakSet[Journal] = weakref.WeakSet()


def after_fork() -> None:
    """Leave every journal to the parent (called in a forked child)."""
    ROOMS.after_fork()
    for journal in list(OPEN):
        journal.after_fork()
    OPEN.clear()
    folders.drop_locks()

"""Writes the segments of one journal, and deletes those that nobody needs any more.

The loop's thread appends rows; the courier's appends acks, and is the only one that closes and deletes. A record is one
write(2) on a file that is open for appending, so the two need no lock. A write that fails or is cut short ends its
segment: the next record goes into a new one, and a reader finds a torn tail.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runbus.recorder.journal.folder import segment_name
from runbus.recorder.journal.format import Header, record
from runbus.recorder.journal.room import Room

SEGMENT_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class Segment:
    """One file of a journal.

    Attributes:
        end_seq: one past its last row.
        size: bytes that are counted in the room.
        broken: it ends in a part of a record.
        unsynced: the disk may not have all of it.
    """

    descriptor: int
    path: Path
    number: int
    end_seq: int = 0
    size: int = 0
    broken: bool = False
    unsynced: bool = False


class Segments:
    """The segments of a journal that this process owns.

    Args:
        folder: of the journal; its lock is held.
        header: segment number -> its header.
        opening: records for the beginning of every new segment.
        room: counts the bytes.
        each: whether the disk has to have every record at once.
    """

    def __init__(
        self,
        folder: Path,
        header: Callable[[int], Header],
        opening: Callable[[], bytes],
        room: Room,
        *,
        each: bool = False,
        first: int = 0,
    ) -> None:
        self._folder = folder
        self._header = header
        self._opening = opening
        self._room = room
        self._each = each
        self._next = first
        self._all: deque[Segment] = deque()
        self._current: Segment | None = None

    def append(self, kind: int, seq: int, data: bytes) -> None:
        """Write a record at the end. Raises OSError: it is not there, or not all of it."""
        segment = self._current
        if segment is None or segment.broken or segment.size >= SEGMENT_BYTES:
            segment = self.roll()
        self._write(segment, record(kind, seq, data))

    def _write(self, segment: Segment, raw: bytes) -> None:
        try:
            written = os.write(segment.descriptor, raw)
            if self._each:
                os.fdatasync(segment.descriptor)
        except OSError:
            segment.broken = True
            raise
        if written != len(raw):
            segment.broken = True
            raise OSError(errno.ENOSPC, "only a part of a record could be written")
        segment.unsynced = True

    def append_ack(self, raw: bytes) -> None:
        """Write a whole record at the end of the newest segment, from the courier's thread. Raises OSError."""
        segment = self._current
        if segment is not None and not segment.broken:  # else the rows are sent once more, and recognised
            self._write(segment, raw)

    def count(self) -> None:
        """Count what was written since the last time."""
        segment = self._current
        if segment is not None:
            before, segment.size = segment.size, os.lseek(segment.descriptor, 0, os.SEEK_END)
            self._room.take(segment.size - before)
            segment.unsynced = True

    @property
    def descriptor(self) -> int:
        """Of the newest segment; -1 if there is none that takes a record."""
        segment = self._current
        return -1 if segment is None or segment.broken else segment.descriptor

    def break_off(self) -> None:
        """Take nothing more into the newest segment: it may end in a part of a record."""
        if self._current is not None:
            self._current.broken = True

    @property
    def must_roll(self) -> bool:
        """Whether the next record begins a new segment."""
        segment = self._current
        return segment is None or segment.broken or segment.size >= SEGMENT_BYTES

    def roll(self) -> Segment:
        """Begin a new segment. Raises OSError; the old one stays as it is."""
        self.count()
        number, self._next = self._next, self._next + 1
        path = self._folder / segment_name(number)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        segment = Segment(descriptor, path, number, end_seq=0 if self._current is None else self._current.end_seq)
        try:
            raw = self._header(number).encode() + self._opening()
            self._write(segment, raw)
            if self._each:
                self._sync_folder()
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        self._all.append(segment)
        self._current = segment
        self.count()
        return segment

    def has_rows_to(self, end_seq: int) -> None:
        """Note that the newest segment has rows below `end_seq`."""
        if self._current is not None:
            self._current.end_seq = end_seq

    def holds(self, end_seq: int) -> int:
        """Return the number of the first segment with rows at or behind `end_seq`."""
        found = [segment.number for segment in list(self._all) if segment.end_seq > end_seq]
        return found[0] if found else self._next

    def path(self, number: int) -> Path:
        """Return the path of a segment."""
        return self._folder / segment_name(number)

    @property
    def numbers(self) -> list[int]:
        """The segments that are there."""
        return [segment.number for segment in list(self._all)]

    # --- the courier's thread -----------------------------------------------------------------------------------

    def delete_below(self, next_seq: int) -> None:
        """Delete the segments whose rows are all below `next_seq`, but for the newest."""
        while len(self._all) > 1 and self._all[0].end_seq <= next_seq:
            segment = self._all.popleft()
            os.close(segment.descriptor)
            segment.path.unlink(missing_ok=True)
            self._room.give_back(segment.size)

    def sync(self) -> None:
        """Ask the disk to have what was written since the last time. Raises OSError."""
        for segment in list(self._all):
            if segment.unsynced:
                segment.unsynced = False
                os.fdatasync(segment.descriptor)
        self._sync_folder()

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close every file; its bytes count no longer."""
        self._room.give_back(sum(segment.size for segment in self._all))
        self.after_fork()

    def after_fork(self) -> None:
        """Close every file. Takes no lock: in a forked child somebody may hold it who is not there."""
        self._current = None
        while self._all:
            os.close(self._all.popleft().descriptor)

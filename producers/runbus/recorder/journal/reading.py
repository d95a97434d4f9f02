"""Reads the segments of a journal: what they say of the stream, and its rows as the batches that they were."""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runbus.recorder.counts import StreamCounts
from runbus.recorder.events import StepsRecorded
from runbus.recorder.journal.folder import segments
from runbus.recorder.journal.format import (
    ACK,
    BATCH,
    FINISHED,
    FRAME_BYTES,
    ROWS,
    STARTED,
    Ack,
    Damage,
    Header,
    NewerSegment,
    NotASegment,
    Record,
    read_header,
    read_records,
)
from runbus.recorder.journal.rows import BadRows, Batches, rows_of
from runbus.schemas.events import RunEvent

_FIELDS = {f.name for f in dataclasses.fields(RunEvent)}


@dataclass(frozen=True, slots=True)
class Flaw:
    """A part of a segment that cannot be used, and why."""

    segment: str
    at: int
    end: int
    why: str
    torn: bool = False


class Reading:
    """Reads the batches of one stream from its segments, in order.

    Args:
        counts: of the stream.
        first: rows below it are not wanted.

    Attributes:
        flaws: what could not be used so far.
    """

    def __init__(self, counts: StreamCounts, first: int = 0) -> None:
        self._batches = Batches(counts, first)
        self.flaws: list[Flaw] = []

    @property
    def next_seq(self) -> int:
        """One past the last row that was read."""
        return self._batches.next_seq

    @property
    def episodes(self) -> int:
        """Episodes that the stream has begun up to there."""
        return self._batches.episodes

    def batches(self, path: Path) -> Iterator[StepsRecorded]:
        """Yield the batches that a segment ends. Raises OSError."""
        data = path.read_bytes()
        for found in _parts(data, path.name, self.flaws):
            if found.kind != ROWS:
                continue
            try:
                yield from self._batches.take(found.seq, found.data)
            except BadRows as error:
                self.flaws.append(Flaw(path.name, found.at, _end(found), str(error)))

    def rest(self) -> Iterator[StepsRecorded]:
        """Yield the batch that was open at the end."""
        yield from self._batches.rest()


@dataclass(slots=True)
class Survey:
    """What a journal says, without its rows.

    Attributes:
        path: its folder.
        header: of its newest segment that has one; None = none has.
        started: as its newest record says it.
        finished: how the stream ended; None = its process did not say.
        ack: how far Kafka has it; None = no segment can be read.
        rows: number of its rows; a row that was written twice counts twice.
        first_seq, next_seq: of its rows; both are 0 without any.
        size: bytes of its segments.
        segments: their number.
        unread: segments that a newer version wrote.
        flaws: what cannot be used.
    """

    path: Path
    header: Header | None = None
    started: RunEvent | None = None
    finished: dict[str, Any] | None = None
    ack: Ack | None = None
    rows: int = 0
    first_seq: int = 0
    next_seq: int = 0
    size: int = 0
    segments: int = 0
    unread: int = 0
    flaws: list[Flaw] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        """Rows that Kafka may not have."""
        return max(0, self.next_seq - max(self.first_seq, self.delivered_to))

    @property
    def delivered_to(self) -> int:
        """The first row that Kafka may not have."""
        return 0 if self.ack is None else self.ack.next_seq


def survey(journal: Path) -> Survey:
    """Read what a journal says; changes nothing. Raises OSError."""
    found = Survey(journal)
    for path in segments(journal):
        try:
            data = path.read_bytes()
        except FileNotFoundError:  # its owner is done with it
            continue
        found.segments += 1
        found.size += len(data)
        try:
            found.header, _ = read_header(data)
        except NewerSegment as error:
            found.unread += 1
            found.flaws.append(Flaw(path.name, 0, len(data), str(error)))
            continue
        except NotASegment:
            pass  # its records say so themselves
        for part in _parts(data, path.name, found.flaws):
            _take(found, part, path.name)
    return found


def _take(found: Survey, part: Record, segment: str) -> None:
    try:
        if part.kind == ROWS:
            count = rows_of(part.data)
            found.first_seq = part.seq if not found.rows else min(found.first_seq, part.seq)
            found.next_seq = max(found.next_seq, part.seq + count)
            found.rows += count
        elif part.kind == ACK:
            ack = Ack.decode(part)
            if found.ack is None or ack.next_seq >= found.ack.next_seq:
                found.ack = ack
        elif part.kind == STARTED:
            found.started = _run_event(json.loads(part.data))
        elif part.kind == FINISHED:
            found.finished = dict(json.loads(part.data))
        elif part.kind != BATCH:
            found.flaws.append(Flaw(segment, part.at, _end(part), f"kind {part.kind}: a newer RunBus wrote it"))
    except (ValueError, TypeError, struct.error) as error:
        found.flaws.append(Flaw(segment, part.at, _end(part), f"it cannot be read: {error!r}"))


def _parts(data: bytes, name: str, flaws: list[Flaw]) -> Iterator[Record]:
    """Yield the records of a segment; what is none becomes a flaw."""
    try:
        _, at = read_header(data)
    except NewerSegment:
        return
    except NotASegment as error:
        at = _first_record(data)
        flaws.append(Flaw(name, 0, at, str(error), torn=at == len(data)))
    for part in read_records(data, at):
        if isinstance(part, Damage):
            why = "a record was cut short" if part.torn else "no record: its checksum is wrong"
            flaws.append(Flaw(name, part.at, part.end, why, part.torn))
        else:
            yield part


def _first_record(data: bytes) -> int:
    for part in read_records(data, 0):
        return part.at if isinstance(part, Record) else len(data) if part.torn else part.end
    return len(data)


def _end(part: Record) -> int:
    return part.at + FRAME_BYTES + len(part.data)


def _run_event(said: dict[str, Any]) -> RunEvent:
    return RunEvent(**{name: value for name, value in said.items() if name in _FIELDS})

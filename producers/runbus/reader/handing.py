"""Takes records out of the buffer and makes events of them, one by one, in the thread of the user.

An interrupt (Ctrl-C raises wherever it likes) must lose no event: all that is remembered of an event is one assignment,
`cursor.handed`, made last. What is done before it can be done again; what follows from it is made up for later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from runbus.config.errors import InvalidValue
from runbus.kafka.model import StreamId
from runbus.reader.batch_event import BatchEvent
from runbus.reader.buffer import Buffer, Chunk, Fetched
from runbus.reader.cursor import Handed, PartitionCursor
from runbus.reader.errors import UnreadableRecord
from runbus.reader.events import At, LogEvent, Unreadable
from runbus.reader.plan import OnUnreadable
from runbus.reader.selection import Selection
from runbus.reader.sequences import Arrived
from runbus.reader.start import Seq, Start
from runbus.reader.steps import Steps
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.codec import Codec, SchemaRef, split
from runbus.schemas.errors import UnknownSchema
from runbus.schemas.known_schemas import KnownSchemas, SchemaNeeded


@dataclass(slots=True)
class Counts:
    """What a reader has handed out so far.

    Attributes:
        events: in all.
        steps: in all.
        values: of metrics, in all.
        missing: steps and values that gaps were made of, when they were reported.
        dropped: what recorders gave up of both, as their headers say.
        repeated: those that came again, and were not handed out again.
        unreadable: records that could not be decoded.
    """

    events: int = 0
    steps: int = 0
    values: int = 0
    missing: int = 0
    dropped: int = 0
    repeated: int = 0
    unreadable: int = 0


class _Made(NamedTuple):
    """The events of one record; `events` is empty if all of it came before.

    `stream` and `arrived` say what its steps are to their stream.
    """

    events: tuple[LogEvent, ...]
    stream: StreamId | None = None
    arrived: Arrived | None = None


class Handing:
    """Makes the next event.

    Args:
        buffer: where the records are.
        selection: says what the records of a topic are.
        codec: finds the schema of a value.
        on_unreadable: what becomes of a record that cannot be decoded.
        start: where the reader begins; of a step, nothing before it is handed out.
    """

    def __init__(
        self, buffer: Buffer, selection: Selection, codec: Codec, on_unreadable: OnUnreadable, start: Start
    ) -> None:
        self._buffer = buffer
        self._kinds = selection.topics
        self._schemas = KnownSchemas(codec)
        self._on_unreadable = on_unreadable
        self._sought = start if isinstance(start, Seq) else None
        self._index = 0  # of the first chunk: everything before it was handed out
        self._of: Chunk | None = None
        self._made: tuple[Fetched, _Made] | None = None
        self.counts = Counts()

    def next(self) -> LogEvent | None:
        """Return the next event; None if nothing waits.

        Raises:
            UnreadableRecord: the next call goes on behind it.
            RegistryMissing, RegistryUnavailable: the next call tries the same record again.
        """
        while (chunk := self._buffer.first()) is not None:
            if chunk is not self._of:
                self._of, self._index = chunk, 0
            while self._index < len(chunk.items):
                cursor, record = chunk.items[self._index]
                event = None if cursor.lost else self._event(cursor, record)
                if event is not None:
                    return event
                self._index += 1
            self._finish(chunk)
        return None

    def settle(self) -> None:
        """Let each cursor be where its user is: behind what was handed out, and behind what is of no interest."""
        while (chunk := self._buffer.first()) is not None:
            if chunk is not self._of:
                self._of, self._index = chunk, 0
            if not self._handed(chunk):
                return
            self._finish(chunk)

    def _handed(self, chunk: Chunk) -> bool:
        return all(cursor.lost or _end_of(record) <= cursor.position for cursor, record in chunk.items[self._index :])

    def _finish(self, chunk: Chunk) -> None:
        for cursor, offset in chunk.passed.items():
            cursor.pass_to(offset)
        self._buffer.drop_first(chunk)

    def _event(self, cursor: PartitionCursor, record: Fetched | LogEvent) -> LogEvent | None:
        """Return the next event of a record, None if there is none left."""
        if isinstance(record, LogEvent):
            return self._remark(cursor, record)
        offset = record.offset() or 0
        if offset < cursor.position:
            return None
        made = self._made_of(cursor, record)
        pieces = cursor.handed.pieces if offset == cursor.position else 0
        if not pieces and made.arrived is not None:
            self.counts.repeated += made.arrived.repeated
        if pieces >= len(made.events):  # nothing of it is new
            cursor.pass_to(offset + 1)
            return None
        event = made.events[pieces]
        self._count(event)
        raised = isinstance(event, Unreadable) and self._on_unreadable == "raise"
        error = UnreadableRecord(event) if raised and isinstance(event, Unreadable) else None
        after = None if made.arrived is None else made.arrived.after
        last = pieces + 1 == len(made.events)
        handed = Handed(offset + 1, 0, made.stream, after) if last else Handed(offset, pieces + 1)
        cursor.handed = handed
        if error is not None:
            raise error
        return event

    def _remark(self, cursor: PartitionCursor, event: LogEvent) -> LogEvent | None:
        if event.at.offset <= cursor.position:
            return None
        cursor.settle().forget()
        self.counts.events += 1
        cursor.handed = Handed(event.at.offset)
        return event

    def _count(self, event: LogEvent) -> None:
        counts = self.counts
        counts.events += 1
        if isinstance(event, BatchEvent):
            counts.steps += len(event) if isinstance(event, Steps) else 0
            counts.values += 0 if isinstance(event, Steps) else len(event)
            counts.dropped += event.newly_dropped
            if event.gap is not None:
                counts.missing += event.gap[1] - event.gap[0] + 1
        elif isinstance(event, Unreadable):
            counts.unreadable += 1

    # --- decoding -----------------------------------------------------------------------------------------------

    def _made_of(self, cursor: PartitionCursor, record: Fetched) -> _Made:
        """Return the events of a record; those of the last one are kept, so asking again costs nothing."""
        if self._made is not None and self._made[0] is record:
            return self._made[1]
        made = self._make(cursor, record)
        self._made = (record, made)
        return made

    def _make(self, cursor: PartitionCursor, record: Fetched) -> _Made:
        key, value = _bytes(record.key()) or b"", _bytes(record.value())
        at = At(*cursor.place, record.offset() or 0, record.timestamp()[1], key)
        kind = self._kinds[at.topic]
        try:
            if value is None and kind.removed is not None:
                return _Made((kind.removed(at),))
            ref, start = split(value)
            event = kind.make(at, (value or b"")[start:], self._writer(ref, kind.schema))
        except (InvalidValue, UnknownSchema) as error:
            if self._on_unreadable == "skip":
                self.counts.unreadable += 1
                return _Made(())
            return _Made((Unreadable(at, value, str(error), isinstance(error, UnknownSchema)),))
        return self._rows(cursor, event) if isinstance(event, BatchEvent) else _Made((event,))

    def _writer(self, ref: SchemaRef, name: str) -> AvroSchema:
        try:
            return self._schemas.find(ref, name)
        except SchemaNeeded as needed:
            self._schemas.ask(needed.ref)
        return self._schemas.find(ref, name)

    def _rows(self, cursor: PartitionCursor, event: BatchEvent) -> _Made:
        """Return those rows of a batch that have not come before: one event, unless it fills gaps in the middle."""
        sequences = cursor.settle()
        if self._sought is not None and not sequences.begun:
            found = _from(event, self._sought)
            if found is None:
                return _Made(())
            event = found
        stream = event.stream
        arrived = sequences.arrive(stream, event.batch.header)
        told = event
        if arrived.gap is not None or arrived.newly_dropped or arrived.late:
            told = replace(event, gap=arrived.gap, newly_dropped=arrived.newly_dropped, late=arrived.late)
        if arrived.fresh is None:
            return _Made((told,), stream, arrived)
        pieces = [replace(told, batch=event.batch.slice(*rows)) for rows in arrived.fresh]
        rest = [replace(piece, gap=None, newly_dropped=0) for piece in pieces[1:]]
        return _Made((*pieces[:1], *rest), stream, arrived)


def _from(event: BatchEvent, sought: Seq) -> BatchEvent | None:
    """Return what of a batch is not before the step that is looked for; None = nothing."""
    if sought.attempt not in (None, event.attempt) or event.last_seq < sought.seq:
        return None
    before = max(0, sought.seq - event.first_seq)
    return replace(event, batch=event.batch.slice(before, len(event))) if before else event


def _end_of(record: Fetched | LogEvent) -> int:
    """Return where a partition is once this was handed out."""
    return record.at.offset if isinstance(record, LogEvent) else (record.offset() or 0) + 1


def _bytes(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value

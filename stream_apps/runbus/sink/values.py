"""Decodes values to tell how many rows they make, whether they can be stored, and which rows are missing.

The normal path never decodes.
"""

from __future__ import annotations

from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.batches import BATCHES
from runbus.schemas.codec import SchemaRef, unframed
from runbus.schemas.dead_letters import DeadLetterRow
from runbus.schemas.events import Annotation, EpisodeFinalized, Event, Heartbeat, RunEvent
from runbus.sink.api import FramedRecord, Route
from runbus.sink.container import Framed
from runbus.sink.ranges import consecutive

_KINDS: tuple[type[Event | DeadLetterRow], ...] = (RunEvent, EpisodeFinalized, Heartbeat, Annotation, DeadLetterRow)
_BY_NAME = {kind.SCHEMA: kind for kind in _KINDS}


def named(record: FramedRecord) -> SchemaRef:
    """Return the schema that the record's framing names. Raises InvalidValue if it has none."""
    if record.ref is None:
        raise unframed(record.value)
    return record.ref


def expect(route: Route, writer: AvroSchema) -> None:
    """Raise InvalidValue unless the schema is of the records of this route."""
    if writer.name != route.schema:
        raise InvalidValue(f"a {writer.name} where a {route.schema} is expected")


def body(record: FramedRecord) -> bytes:
    """Return the Avro body of a framed record."""
    assert record.value is not None
    return record.value[record.start :]


def rows(route: Route, record: FramedRecord, writer: AvroSchema) -> int:
    """Return how many rows the record makes in the target table. Raises InvalidValue."""
    return BATCHES[route.schema].decode_header(body(record), writer).count if route.batched else 1


def check(route: Route, record: FramedRecord, writer: AvroSchema) -> None:
    """Raise InvalidValue unless the whole value is what its schema and the wire format say."""
    if route.batched:
        BATCHES[route.schema].decode(body(record), writer)
    else:
        event(route, record, writer)


def event(route: Route, record: FramedRecord, writer: AvroSchema) -> Event | DeadLetterRow:
    """Return the event of a record of a route that is not batched. Raises InvalidValue."""
    return _BY_NAME[route.schema].decode(body(record), writer)


def missing(
    route: Route, record: FramedRecord, writer: AvroSchema, present: set[int]
) -> tuple[AvroSchema, list[Framed]]:
    """Return a schema and values to insert so that a record is complete of which the rows `present` (seq) are there."""
    if not present:
        return writer, [(record.offset, record.value or b"", record.start)]
    return schema(route.schema), [(record.offset, piece, 0) for piece in without(route, record, writer, present)]


def without(route: Route, record: FramedRecord, writer: AvroSchema, present: set[int]) -> list[bytes]:
    """Return bodies (this package's schema) with the rows of a batch whose `seq` is not in `present`.

    A record that spans two months is two parts on disk, and one of them can be lost alone.
    """
    kind = BATCHES[route.schema]
    batch = kind.decode(body(record), writer)
    h = batch.header
    absent = [i for i in range(h.count) if h.first_seq + i not in present]
    return [kind.encode(batch.slice(first, last + 1)) for first, last in consecutive(absent)]

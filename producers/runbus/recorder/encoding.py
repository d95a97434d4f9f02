"""Encodes what recorders publish as values of Kafka records: framed, split to the topic's limit."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runbus.config.errors import InvalidValue
from runbus.kafka.headers import Headers, letter_headers
from runbus.kafka.topics import Topic, stream_key
from runbus.recorder.counts import StreamCounts
from runbus.recorder.events import RowsRecorded
from runbus.recorder.forms import FORMS, Batch, BatchForm, with_more_dropped
from runbus.recorder.identity import KIND
from runbus.recorder.link import MAX_VALUE_BYTES
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Codec
from runbus.schemas.events import Event


@dataclass(frozen=True, slots=True)
class Packing:
    """Says how batches become records.

    Attributes:
        prefix: of the topics' names.
        codec: frames the values.
        limit: the most bytes that a value may have.
    """

    prefix: str
    codec: Codec
    limit: int = MAX_VALUE_BYTES


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """One encoded batch on its way to its topic: `count` rows of a stream from `first_seq`.

    Attributes:
        topic: where it goes; its key is that of the stream.
        oldest: time at which the batch was closed, monotonic seconds.
        error: why it is one row that no record can hold; empty = it is not.
        without: the parts that this row had to leave out.
    """

    topic: Topic
    counts: StreamCounts
    first_seq: int
    count: int
    key: bytes
    value: bytes
    oldest: float
    error: str = ""
    without: tuple[str, ...] = ()

    @property
    def form(self) -> BatchForm:
        """How the batches of its topic are written."""
        return FORMS[self.topic.name]

    def headers(self, topic: str, error: str) -> Headers:
        """Return the headers of its dead letter."""
        id_ = self.counts.id
        return letter_headers(
            KIND,
            topic,
            error,
            run_id=id_.run_id,
            agent_id=id_.agent_id,
            attempt=id_.attempt,
            seq=self.first_seq,
            count=self.count,
            key=self.key,
        )

    def dead_letter_key(self, topic: str) -> bytes:
        """Return the key of its dead letter; there is no offset, so it has the stream and seq."""
        return f"{topic}-{self.counts.id}-{self.first_seq}".encode("utf-8", "replace")


def encoded(recorded: RowsRecorded, packing: Packing, now_us: int) -> list[EncodedBatch]:
    """Encode a batch, in as many parts as the topic's limit needs.

    A row that is too large by itself, or cannot be encoded, is written without its largest part, and then without the
    next one: it says so, and is given up only if nothing is left to leave out.

    Raises:
        UnknownSchema, RegistryUnavailable: it cannot be encoded yet.
    """
    id_, topic = recorded.counts.id, recorded.TOPIC
    source = EncodedBatch(topic, recorded.counts, 0, 0, stream_key(id_.run_id, id_.agent_id), b"", recorded.closed_at)
    return _split(recorded.batch(sent_at=now_us), source, packing)


def smaller(refused: EncodedBatch, packing: Packing) -> list[EncodedBatch]:
    """Encode a batch again that the broker refused for its size: halved, or without its largest part. Raises alike."""
    writer, body = packing.codec.open(refused.value, refused.form.schema)
    return _split(refused.form.coding.decode(body, writer), refused, replace(packing, limit=len(refused.value) - 1))


def _split(batch: Batch, source: EncodedBatch, packing: Packing) -> list[EncodedBatch]:
    form = source.form
    found: list[EncodedBatch] = []
    parts: list[tuple[Batch, tuple[str, ...]]] = [(batch, ())]
    lost = 0
    while parts:
        part, left_out = parts.pop(0)
        h = part.header
        if lost:  # a row before this part is given up: its header says so
            part = with_more_dropped(part, lost)
        value, error = _value(part, form, packing)
        if not error or (h.count == 1 and not form.parts_of(part)):
            lost += bool(error)
            found.append(
                replace(source, first_seq=h.first_seq, count=h.count, value=value, error=error, without=left_out)
            )
        elif h.count > 1:
            middle = h.count // 2
            parts[:0] = [(part.slice(0, middle), ()), (part.slice(middle, h.count), ())]
        else:
            name = form.parts_of(part)[0] if value else _part_to_leave_out(part, form, packing)
            parts.insert(0, (form.without(part, name), (*left_out, name)))
    return found


def _part_to_leave_out(row: Batch, form: BatchForm, packing: Packing) -> str:
    """Return the part without which a row can be encoded; the largest one if it takes more than one."""
    names = form.parts_of(row)
    return next((name for name in names if _value(form.without(row, name), form, packing)[0]), names[0])


def _value(part: Batch, form: BatchForm, packing: Packing) -> tuple[bytes, str]:
    """Return the value of a batch, and why no record can hold it: empty = one can."""
    try:
        value = packing.codec.frame(packing.prefix + form.topic.name, schema(form.schema), form.coding.encode(part))
    except InvalidValue as error:
        return b"", str(error)
    too_large = len(value) > packing.limit
    return value, f"a {form.row} of {len(value)} bytes: no record can hold it" if too_large else ""


def framed(event: Event, topic: str, codec: Codec) -> bytes:
    """Return the Kafka value of an event. Raises like `encoded`."""
    return codec.frame(topic, schema(event.SCHEMA), event.encode())

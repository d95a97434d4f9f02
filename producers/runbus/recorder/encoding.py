"""Encodes what recorders publish as values of Kafka records: framed, split to the topic's limit."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runbus.kafka.headers import Headers, letter_headers
from runbus.kafka.topics import stream_key
from runbus.recorder.events import StepsRecorded, StreamCounts
from runbus.recorder.identity import KIND
from runbus.recorder.link import MAX_VALUE_BYTES
from runbus.schemas.avsc import schema
from runbus.schemas.batch import encode
from runbus.schemas.codec import Codec
from runbus.schemas.events import Event


@dataclass(frozen=True, slots=True)
class Packing:
    """Says how batches become records: the topic, the framing of values, and the most bytes that one may have."""

    topic: str
    codec: Codec
    limit: int = MAX_VALUE_BYTES


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """One encoded batch on its way: `count` steps from `first_seq`.

    Attributes:
        oldest: time at which the batch was closed, monotonic seconds.
        too_large: it is one step that no record can hold.
    """

    counts: StreamCounts
    first_seq: int
    count: int
    key: bytes
    value: bytes
    oldest: float
    too_large: bool = False

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


def encoded(recorded: StepsRecorded, packing: Packing, now_us: int) -> list[EncodedBatch]:
    """Encode a batch, in as many parts as the topic's limit needs.

    Raises:
        InvalidValue: it cannot be encoded.
        UnknownSchema, RegistryUnavailable: it cannot be encoded yet.
    """
    id_ = recorded.counts.id
    key = stream_key(id_.run_id, id_.agent_id)
    found: list[EncodedBatch] = []
    parts = [recorded.batch(sent_at=now_us)]
    lost = 0
    while parts:
        part = parts.pop(0)
        if lost:  # a step before this part is given up: its header says so
            part = replace(part, header=replace(part.header, dropped=part.header.dropped + lost))
        value = packing.codec.frame(packing.topic, schema("StepBatch"), encode(part))
        h, too_large = part.header, len(value) > packing.limit
        if too_large and h.count > 1:
            parts[:0] = part.slice(0, h.count // 2), part.slice(h.count // 2, h.count)
            continue
        lost += too_large
        found.append(EncodedBatch(recorded.counts, h.first_seq, h.count, key, value, recorded.closed_at, too_large))
    return found


def framed(event: Event, topic: str, codec: Codec) -> bytes:
    """Return the Kafka value of an event. Raises like `encoded`."""
    return codec.frame(topic, schema(event.SCHEMA), event.encode())

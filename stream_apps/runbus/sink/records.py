"""Makes the sink's records of what was read: splits a value's framing once, and decodes nothing.

Two kinds of record are none in Avro, and become one as they are read; container, protocol and counting then treat them
like the others. Records of `dead-letters` hold any bytes, so each is wrapped: a dead letter never becomes a dead
letter. A tombstone of `annotations` says that what its key names was removed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runbus.config.errors import InvalidValue
from runbus.kafka.headers import position_key
from runbus.kafka.model import TopicPartition
from runbus.schemas.annotations import removed_by
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Fingerprint, framing
from runbus.schemas.dead_letters import DeadLetterRow
from runbus.schemas.events import Annotation
from runbus.schemas.walk import number
from runbus.sink.api import FramedRecord, Route

#: memory of a record besides its key and value
RECORD_BYTES = 200
_LETTER = Fingerprint(schema(DeadLetterRow.SCHEMA).fingerprint)
_ANNOTATION = Fingerprint(schema(Annotation.SCHEMA).fingerprint)


def framed(
    route: Route,
    at: TopicPartition,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    timestamp_ms: int,
    headers: Callable[[], Mapping[str, bytes]],
) -> FramedRecord:
    """Return a record of the log as its route is stored; `headers` are read where they matter."""
    if route.wrapped:
        return wrap(at, offset, value, headers(), key=key, timestamp_ms=timestamp_ms)
    if route.removable and value is None:
        return removal(offset, key, timestamp_ms)
    return read(offset, key, value, timestamp_ms, batched=route.batched)


def read(offset: int, key: bytes | None, value: bytes | None, timestamp_ms: int, *, batched: bool) -> FramedRecord:
    """Return a record of the log and what its framing says; decodes nothing."""
    found = framing(value)
    size = len(value or b"") + len(key or b"") + RECORD_BYTES
    if found is None or value is None:
        return FramedRecord(offset, key, value, timestamp_ms, size)
    steps = peek_count(value, found.start) if batched else 1
    return FramedRecord(offset, key, value, timestamp_ms, size, found.ref, found.start, steps)


def peek_count(value: bytes, start: int) -> int:
    """Return `count` of a StepBatch value by skipping the four fields before it; 1 if that fails.

    The header's order is part of the wire format. A wrong count makes a range shorter or longer, never wrong.
    """
    try:
        at = start
        for _ in range(2):  # run_id, agent_id
            length, at = number(value, at)
            at += max(0, length)
        for _ in range(2):  # attempt, first_seq
            _, at = number(value, at)
        count, _ = number(value, at)
    except (IndexError, InvalidValue):
        return 1
    return max(1, min(count, 1_000_000))


def wrap(
    at: TopicPartition,
    offset: int,
    value: bytes | None,
    headers: Mapping[str, bytes],
    *,
    key: bytes | None = None,
    timestamp_ms: int = 0,
) -> FramedRecord:
    """Return a record of the topic `dead-letters` as a DeadLetter.

    Args:
        at: its partition.
        offset: its offset.
        value, headers, key, timestamp_ms: of the record.
    """
    row = DeadLetterRow.of(position_key(*at, offset), key, value, headers, timestamp_ms)
    body = row.encode()
    return FramedRecord(offset, key, body, timestamp_ms, len(body) + RECORD_BYTES, _LETTER)


def removal(offset: int, key: bytes | None, timestamp_ms: int) -> FramedRecord:
    """Return a tombstone as the annotation that it removed; as it is, if its key is that of none."""
    try:
        body = removed_by(key, timestamp_ms).encode()
    except InvalidValue:
        return read(offset, key, None, timestamp_ms, batched=False)
    return FramedRecord(offset, key, body, timestamp_ms, len(body) + RECORD_BYTES, _ANNOTATION)

"""Makes the sink's records of what was read: splits a value's framing once, and decodes nothing.

Records of `dead-letters` hold any bytes, so each is wrapped into an Avro record as it is read. Container, protocol and
counting then treat its route like the others. Any bytes can be wrapped, so a dead letter never becomes a dead letter.
"""

from __future__ import annotations

from collections.abc import Mapping

from runbus.config.errors import InvalidValue
from runbus.kafka.headers import position_key
from runbus.kafka.model import TopicPartition
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Fingerprint, framing
from runbus.schemas.dead_letters import DeadLetterRow
from runbus.schemas.walk import number
from runbus.sink.api import FramedRecord

#: memory of a record besides its key and value
RECORD_BYTES = 200
_REF = Fingerprint(schema(DeadLetterRow.SCHEMA).fingerprint)


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
    return FramedRecord(offset, key, body, timestamp_ms, len(body) + RECORD_BYTES, _REF)

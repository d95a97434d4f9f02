"""Records of `dead-letters`: any bytes, wrapped into an Avro record as they are read.

From there on the route is one like the others: container, protocol and counting need to know nothing. Whatever another
program may have written can be wrapped, so a dead letter never becomes a dead letter itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from runbus.kafka.headers import position_key
from runbus.kafka.model import TopicPartition
from runbus.schemas.avsc import schema
from runbus.schemas.codec import Fingerprint
from runbus.schemas.dead_letters import DeadLetterRow
from runbus.sink.api import FramedRecord
from runbus.sink.ranges import RECORD_BYTES

_REF = Fingerprint(schema(DeadLetterRow.SCHEMA).fingerprint)


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
        at: where it is.
        offset: where it is.
        value, headers, key, timestamp_ms: of the record.
    """
    row = DeadLetterRow.of(position_key(*at, offset), key, value, headers, timestamp_ms)
    body = row.encode()
    return FramedRecord(offset, key, body, timestamp_ms, len(body) + RECORD_BYTES, _REF)

"""Records of the log as one Avro object container, without decoding them.

An Avro record is the concatenation of its fields, so `kafka_topic_id + kafka_partition + kafka_offset + body` is a
record of a wider schema: the writer's with three fields in front. One record per block, so that a body of the wrong
length breaks at its own block and never shifts into the next.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache

from runbus.clickhouse.tables import POSITION_FIELDS
from runbus.schemas.avsc import AvroSchema

_SYNC = b"runbus.sink.v1.."  # any 16 bytes; fixed, so that the same range is the same bytes
_ONE = b"\x02"  # a block of one record, zigzag
_FIELDS = tuple({"name": name, "type": kind} for name, kind in POSITION_FIELDS)


def zigzag(number: int) -> bytes:
    """Return an Avro int or long."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append((rest & 0x7F) | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def build(writer: AvroSchema, topic_id: str, partition: int, values: Iterable[tuple[int, bytes, int]]) -> memoryview:
    """Return the container of some values of one partition.

    Args:
        writer: the schema of every body.
        topic_id: Kafka's id of the topic.
        partition: number of the partition.
        values: (offset, value, where the body starts in the value).

    Returns:
        A view, so that the HTTP client sends it as it is and never sends it a second time on its own.
    """
    prefix = _string(topic_id) + zigzag(partition)
    parts: list[bytes | memoryview] = [_header(writer)]
    for offset, value, start in values:
        position = prefix + zigzag(offset)
        parts += (_ONE, zigzag(len(position) + len(value) - start), position, memoryview(value)[start:], _SYNC)
    return memoryview(b"".join(parts))


@lru_cache(maxsize=64)
def _header(writer: AvroSchema) -> bytes:
    schema = json.loads(writer.text)
    schema["fields"] = [*_FIELDS, *schema["fields"]]
    text = json.dumps(schema)
    meta = {"avro.schema": text, "avro.codec": "null"}
    entries = b"".join(_string(name) + _string(value) for name, value in meta.items())
    return b"Obj\x01" + zigzag(len(meta)) + entries + zigzag(0) + _SYNC


def _string(text: str) -> bytes:
    raw = text.encode()
    return zigzag(len(raw)) + raw

"""Builds one Avro object container of records of the log, without decoding them.

An Avro record is the concatenation of its fields, so `kafka_topic_id + kafka_partition + kafka_offset + body +
record_end` is a record of a wider schema: the writer's with three fields in front and one behind. One record per block,
so that a body of the wrong length fails in its own block and never shifts into the next. The field behind shows bytes
that follow a body: a reader skips the rest of a block.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache

from runbus.clickhouse.tables import END_FIELD, POSITION_FIELDS, record_end
from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.batch import StepBatch, decode_header
from runbus.schemas.layout import STRUCT
from runbus.schemas.walk import zigzag

_SYNC = b"runbus.sink.v1.."  # any 16 bytes; fixed, so that the same range is the same bytes
_ONE = b"\x02"  # a block of one record, zigzag
_FRONT = tuple({"name": name, "type": kind} for name, kind in POSITION_FIELDS)
_BEHIND = {"name": END_FIELD[0], "type": END_FIELD[1]}
# A StepBatch names a struct within these bytes, or it is refused for its ids or its first layout: two
# ids of 257 bytes, five longs, a dtype of 20, 64 lengths of 30 (each in a block of its own), a width.
_HEADER_BYTES = 4096
_STRUCT_MARK = STRUCT.encode()
#: bytes that are joined and sent together
PIECE_BYTES = 256 * 1024

#: one value for a container: offset, value, index of its body
Framed = tuple[int, bytes, int]


class Container:
    """Holds some values of one partition and builds their container, piece by piece, each time it is sent.

    So an insert under way holds a piece of its body and no copy of its range.
    """

    __slots__ = ("_prefix", "_values", "_writer")

    def __init__(self, writer: AvroSchema, topic_id: str, partition: int, values: Iterable[Framed]) -> None:
        """Take the values.

        Args:
            writer: the schema of every body.
            topic_id: Kafka's id of the topic.
            partition: number of the partition.
            values: (offset, value, index of its body).
        """
        self._writer = writer
        self._prefix = _string(topic_id) + zigzag(partition)
        self._values = list(values)

    def __iter__(self) -> Iterator[bytes]:
        """Yield whole blocks, about PIECE_BYTES of them at a time."""
        parts: list[bytes | memoryview] = [_header(self._writer)]
        size = len(parts[0])
        batched = self._writer.name == StepBatch.__name__
        for offset, value, start in self._values:
            position = self._prefix + zigzag(offset)
            bad_struct = batched and _has_bad_struct(self._writer, value, start)
            end = _string(record_end(offset, bad_struct=bad_struct))
            length = len(position) + len(value) - start + len(end)
            parts += (_ONE, zigzag(length), position, memoryview(value)[start:], end, _SYNC)
            size += length
            if size >= PIECE_BYTES:
                yield b"".join(parts)
                parts, size = [], 0
        yield b"".join(parts)

    def __bytes__(self) -> bytes:
        """Return all bytes."""
        return b"".join(self)


def _has_bad_struct(writer: AvroSchema, value: bytes, start: int) -> bool:
    """Return whether a batch has a malformed `struct:` layout; decodes the header only if the word is in it."""
    if value.find(_STRUCT_MARK, start, start + _HEADER_BYTES) < 0:
        return False
    try:
        decode_header(value[start:], writer)
    except InvalidValue:
        return True
    return False


@lru_cache(maxsize=64)
def _header(writer: AvroSchema) -> bytes:
    schema = json.loads(writer.text)
    schema["fields"] = [*_FRONT, *schema["fields"], _BEHIND]
    text = json.dumps(schema)
    meta = {"avro.schema": text, "avro.codec": "null"}
    entries = b"".join(_string(name) + _string(value) for name, value in meta.items())
    return b"Obj\x01" + zigzag(len(meta)) + entries + zigzag(0) + _SYNC


def _string(text: str) -> bytes:
    raw = text.encode()
    return zigzag(len(raw)) + raw

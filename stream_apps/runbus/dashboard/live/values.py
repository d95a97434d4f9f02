"""Reads values of the log for the page: one decoding each, without what only agents' own records need checked."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from runbus.config.errors import InvalidValue
from runbus.kafka.model import StreamId
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.codec import Codec, framing
from runbus.schemas.metric_batch import MetricBatch, decode
from runbus.schemas.record import read_prefix, read_record

Fields = dict[str, Any]


class Values:
    """Decodes values.

    Args:
        codec: of the installation.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def fields(self, value: bytes, name: str) -> Fields:
        """Return the fields of a record `name`. Raises RunBusError if the value is none."""
        writer, body = self._codec.open(value, name)
        return read_record(body, writer, schema(name))

    def metrics(self, value: bytes) -> MetricBatch:
        """Return a batch of metrics. Raises RunBusError if the value is none."""
        writer, body = self._codec.open(value, "MetricBatch")
        return decode(body, writer)

    def figures(self, value: bytes) -> Fields:
        """Return the fields of a LiveMetrics without its windows, which are most of it and are seldom shown.

        Raises RunBusError if the value is none.
        """
        writer, body = self._codec.open(value, "LiveMetrics")
        head = _without_windows(writer)
        return read_prefix(body, head, _without_windows(schema("LiveMetrics")))


@lru_cache(maxsize=64)
def _without_windows(writer: AvroSchema) -> AvroSchema:
    return writer.cut_before("windows")


def stream_of(value: bytes) -> StreamId:
    """Return whose record it is, of one whose first fields are run_id, agent_id and attempt; nothing else is decoded.

    Raises InvalidValue if the value is too short.
    """
    found = framing(value)
    if found is None:
        raise InvalidValue("neither Avro single-object encoding nor Confluent framing")
    try:
        run, at = _text(value, found.start)
        agent, at = _text(value, at)
        return StreamId(run, agent, _long(value, at)[0])
    except (IndexError, UnicodeDecodeError) as error:
        raise InvalidValue("it ends in its first three fields") from error


def _text(value: bytes, at: int) -> tuple[str, int]:
    length, at = _long(value, at)
    if not 0 <= length <= len(value) - at:
        raise IndexError(length)
    return value[at : at + length].decode(), at + length


def _long(value: bytes, at: int) -> tuple[int, int]:
    """Return an Avro long and where the next field begins: 7 bits a byte, the lowest first, zigzag."""
    found = shift = 0
    while True:
        byte = value[at]
        at += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (found >> 1) ^ -(found & 1), at
        shift += 7

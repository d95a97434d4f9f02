"""Writes and reads one Avro record, whole or not at all; the only module that calls fastavro's reader and writer."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import Any

import fastavro

from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import AvroSchema
from runbus.schemas.walk import walk, without_sizes

# Errors of fastavro's readers and writers, compiled or not; each means "these bytes are not this record".
_DATA_ERRORS = (
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    MemoryError,
    StopIteration,
    RecursionError,
    struct.error,
)


def write_record(schema: AvroSchema, record: Mapping[str, object]) -> bytes:
    """Return the Avro body. Raises InvalidValue if a field does not fit the schema."""
    out = io.BytesIO()
    try:
        fastavro.schemaless_writer(out, schema.parsed, dict(record))
    except _DATA_ERRORS as error:
        raise InvalidValue(f"{schema.name}: {error}") from error
    return out.getvalue()


def read_record(body: bytes, writer: AvroSchema, reader: AvroSchema) -> dict[str, Any]:
    """Decode one whole Avro record into the fields of `reader`.

    Raises:
        InvalidValue: cut short, followed by other bytes, not what Avro allows (walk.py), or of a schema that `reader`
            cannot read.
    """
    record, end = _walked(body, writer, reader)
    if end != len(body):
        raise InvalidValue(f"{writer.name}: {len(body) - end} bytes follow the record")
    return _read(record, writer, reader)


def read_prefix(body: bytes, writer: AvroSchema, reader: AvroSchema) -> dict[str, Any]:
    """Decode the record that `body` begins with (see AvroSchema.cut_before). Raises like `read_record`."""
    return _read(_walked(body, writer, reader)[0], writer, reader)


def _walked(body: bytes, writer: AvroSchema, reader: AvroSchema) -> tuple[bytes, int]:
    """Return the record that `body` begins with, as fastavro may have it, and its end in `body`."""
    if writer.fingerprint != reader.fingerprint:
        return without_sizes(writer, body)
    end = walk(writer, body)
    return body[:end], end


def _read(body: bytes, writer: AvroSchema, reader: AvroSchema) -> dict[str, Any]:
    resolve = None if writer.fingerprint == reader.fingerprint else reader.parsed  # resolving costs time
    try:
        record: dict[str, Any] = fastavro.schemaless_reader(io.BytesIO(body), writer.parsed, resolve)  # type: ignore[assignment]
    except fastavro.read.SchemaResolutionError as error:
        raise InvalidValue(f"{writer.name}: its writer schema cannot be read by this version: {error}") from error
    except _DATA_ERRORS as error:
        raise InvalidValue(f"{writer.name}: not a record of this schema ({type(error).__name__}: {error})") from error
    return record

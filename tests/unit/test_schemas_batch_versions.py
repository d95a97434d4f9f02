"""A StepBatch is read whatever version of its schema wrote it, or refused."""

import dataclasses
import json
from typing import Any

import pytest

from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.batch import StepColumns, decode, decode_header, encode
from runbus.schemas.record import read_record, write_record
from tests.unit.batches import COLUMNS, assert_equal, make_batch


def _changed(fields: list[dict[str, Any]]) -> AvroSchema:
    raw = {**json.loads(schema("StepBatch").text), "fields": fields}
    return AvroSchema.from_json(json.dumps(raw))


def _raw_fields() -> list[dict[str, Any]]:
    return schema("StepBatch").fields


def _written_with(writer: AvroSchema, **more: object) -> bytes:
    record = read_record(encode(make_batch()), schema("StepBatch"), schema("StepBatch"))
    return write_record(writer, {**record, **more})


def test_a_newer_writer_is_read() -> None:
    """A field that a newer version added, at the end or in the header, is left out by this version."""
    added = {"name": "novelty", "type": "string", "default": ""}
    fields = _raw_fields()
    for writer in (
        _changed([*fields, added]),
        _changed([added, *fields]),
        _changed([*fields[:9], added, *fields[9:]]),
    ):
        body = _written_with(writer, novelty="yes")
        assert_equal(decode(body, writer), make_batch())
        assert decode_header(body, writer) == make_batch().header


def test_a_writer_with_other_words_is_read() -> None:
    """The same schema with other documentation is the same record."""
    fields = [{**f, "doc": "older words"} for f in _raw_fields()]
    writer = _changed(fields)
    assert writer.fingerprint == schema("StepBatch").fingerprint
    assert_equal(decode(_written_with(writer), writer), make_batch())


@pytest.mark.parametrize("dropped", ["reward", "count", "env", "observation"])
def test_a_writer_without_a_field_is_refused(dropped: str) -> None:
    """A schema that lacks a field this version needs cannot be read: InvalidValue, from both decoders."""
    writer = _changed([f for f in _raw_fields() if f["name"] != dropped])
    body = _written_with(writer)
    with pytest.raises(InvalidValue):
        decode(body, writer)
    if dropped in ("count", "env"):
        with pytest.raises(InvalidValue):
            decode_header(body, writer)


def test_a_writer_with_another_dtype_is_refused() -> None:
    """A column that another schema declares as another dtype is not reinterpreted, though Avro calls both bytes."""
    fields = json.loads(json.dumps(_raw_fields()).replace("<f8", "<i8"))
    writer = _changed(fields)
    assert writer.fingerprint == schema("StepBatch").fingerprint
    with pytest.raises(InvalidValue, match="reward is <i8"):
        decode(_written_with(writer), writer)


def test_the_columns_of_the_class_are_those_of_the_schema() -> None:
    """Each numeric column of the schema is a field of StepColumns, with the dtype that the tests use."""
    assert {f.name for f in dataclasses.fields(StepColumns)} == set(COLUMNS)
    declared = {path: dtype for path, dtype in schema("StepBatch").dtypes.items() if "/" not in path}
    assert declared == COLUMNS

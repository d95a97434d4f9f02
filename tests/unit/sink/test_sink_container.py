"""The container is a valid Avro file of the wrapped records, made without decoding them."""

import io
from collections.abc import Callable

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.schemas.avsc import schema
from runbus.schemas.events import Heartbeat
from runbus.sink.container import build, zigzag

MakeValue = Callable[..., bytes]


@given(st.integers(-(2**63), 2**63 - 1))
def test_zigzag_is_what_avro_reads_back(number: int) -> None:
    """Every long survives our writer and fastavro's reader."""
    assert fastavro.schemaless_reader(io.BytesIO(zigzag(number)), "long", None) == number


def test_an_avro_reader_finds_position_and_body(make_value: MakeValue) -> None:
    """Each record carries its topic id, partition and offset, and its own fields unchanged."""
    values = [(7, make_value(0, 3), 10), (9, make_value(3, 2), 10)]
    records = [dict(r) for r in _read(build(schema("StepBatch"), "tid", 4, values))]
    assert [(r["kafka_topic_id"], r["kafka_partition"], r["kafka_offset"]) for r in records] == [
        ("tid", 4, 7),
        ("tid", 4, 9),
    ]
    assert [(r["first_seq"], r["count"]) for r in records] == [(0, 3), (3, 2)]
    assert isinstance(records[0]["observation"], bytes)
    assert len(records[0]["observation"]) == 3 * 8


def test_a_record_without_columns_is_wrapped_the_same_way() -> None:
    """Heartbeats go through the same container."""
    beat = Heartbeat(component_id="c", kind="sink", sent_at=1, started_at=1, version="0", committed={"t:0": 5})
    (record,) = _read(build(schema("Heartbeat"), "tid", 0, [(1, b"xx" + beat.encode(), 2)]))
    assert record["committed"] == {"t:0": 5}
    assert record["kafka_offset"] == 1


def test_the_same_range_is_the_same_bytes(make_value: MakeValue) -> None:
    """A replay sends what was sent before, byte for byte."""
    values = [(7, make_value(0, 3), 10)]
    assert bytes(build(schema("StepBatch"), "t", 0, values)) == bytes(build(schema("StepBatch"), "t", 0, values))


def test_a_body_of_the_wrong_length_breaks_at_its_own_block(make_value: MakeValue) -> None:
    """A truncated body is an error and never shifts into the record behind it."""
    cut = make_value(0, 3)[:-5]
    container = build(schema("StepBatch"), "t", 0, [(1, cut, 10), (2, make_value(3, 2), 10)])
    with pytest.raises((ValueError, EOFError)):
        _read(container)


def _read(container: memoryview) -> list[dict[str, object]]:
    return [dict(record) for record in fastavro.reader(io.BytesIO(container)) if isinstance(record, dict)]

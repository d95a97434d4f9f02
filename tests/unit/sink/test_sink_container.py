"""The container is a valid Avro file of the wrapped records, made without decoding them."""

import dataclasses
import io
import json
from collections.abc import Callable

import fastavro
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.batch import StepBatch, encode
from runbus.schemas.events import Heartbeat
from runbus.schemas.layout import NONE, Layout, layout_of, pack
from runbus.schemas.record import read_record, write_record
from runbus.schemas.walk import zigzag
from runbus.sink.container import PIECE_BYTES, Container
from tests.fuzz.batches import STEP_BATCH, Batches
from tests.fuzz.damage import text

MakeValue = Callable[..., bytes]
quick = settings(max_examples=50, deadline=None, derandomize=True)
RAW = AvroSchema.from_json(json.dumps({"type": "record", "name": "Raw", "fields": [{"name": "raw", "type": "bytes"}]}))


def _string(value: str) -> bytes:
    return text(value.encode())


@given(st.integers(-(2**63), 2**63 - 1))
def test_zigzag_is_what_avro_reads_back(number: int) -> None:
    """Every long survives our writer and fastavro's reader."""
    assert fastavro.schemaless_reader(io.BytesIO(zigzag(number)), "long", None) == number


def test_an_avro_reader_finds_position_and_body(make_value: MakeValue) -> None:
    """Each record carries its topic id, partition and offset, and its own fields unchanged."""
    values = [(7, make_value(0, 3), 10), (9, make_value(3, 2), 10)]
    records = [dict(r) for r in _read(Container(schema("StepBatch"), "tid", 4, values))]
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
    (record,) = _read(Container(schema("Heartbeat"), "tid", 0, [(1, b"xx" + beat.encode(), 2)]))
    assert record["committed"] == {"t:0": 5}
    assert record["kafka_offset"] == 1


def test_the_same_range_is_the_same_bytes(make_value: MakeValue) -> None:
    """A replay sends what was sent before, byte for byte."""
    values = [(7, make_value(0, 3), 10)]
    assert bytes(Container(schema("StepBatch"), "t", 0, values)) == bytes(
        Container(schema("StepBatch"), "t", 0, values)
    )


def test_it_is_made_in_pieces_as_often_as_it_is_asked_for() -> None:
    """An insert holds a piece of its body, not a copy of the range, and a second attempt has it all again."""
    values = [(n, bytes(60_000), 0) for n in range(50)]
    container = Container(RAW, "t", 0, values)
    pieces = list(container)
    assert len(pieces) == 50 * 60_000 // (PIECE_BYTES + 60_000) + 2
    assert max(map(len, pieces)) < PIECE_BYTES + 61_000
    assert bytes(container) == b"".join(pieces) == bytes(container)


def test_a_body_of_the_wrong_length_breaks_at_its_own_block(make_value: MakeValue) -> None:
    """A truncated body is an error and never shifts into the record behind it."""
    cut = make_value(0, 3)[:-5]
    container = Container(schema("StepBatch"), "t", 0, [(1, cut, 10), (2, make_value(3, 2), 10)])
    with pytest.raises((ValueError, EOFError)):
        _read(container)


@given(
    st.lists(st.tuples(st.integers(0, 2**63 - 1), st.binary(max_size=300), st.integers(0, 9)), max_size=6),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.integers(0, 2**31 - 1),
)
@quick
def test_each_body_is_a_block_of_its_own(values: list[tuple[int, bytes, int]], topic_id: str, partition: int) -> None:
    """Whatever the bodies are, a reader of blocks finds one for each value, with its bytes and no others."""
    values = [(offset, value, min(start, len(value))) for offset, value, start in values]
    container = Container(RAW, topic_id, partition, values)
    blocks = list(fastavro.block_reader(io.BytesIO(bytes(container))))
    assert [block.num_records for block in blocks] == [1] * len(values)
    for block, (offset, value, start) in zip(blocks, values, strict=True):
        raw = block.bytes_.getvalue()  # type: ignore[attr-defined]  # missing in fastavro's stub
        head = _string(topic_id) + zigzag(partition) + zigzag(offset)
        assert raw == head + value[start:] + _string(f"end {offset}")


@given(st.lists(st.integers(0, 2**32), max_size=8), st.data())
@quick
def test_what_is_read_back_is_the_records_in_order(seeds: list[int], data: st.DataObject) -> None:
    """Good and damaged batches in any order: the good ones come back whole at their offsets, a bad one breaks alone."""
    sources = [Batches(seed) for seed in seeds]
    bodies = [data.draw(st.sampled_from([source.body(), source.mutated()])) for source in sources]
    container = Container(STEP_BATCH, "tid", 3, [(10 * n, body, 0) for n, body in enumerate(bodies)])
    blocks = list(fastavro.block_reader(io.BytesIO(bytes(container))))
    assert len(blocks) == len(bodies)
    for n, (block, body) in enumerate(zip(blocks, bodies, strict=True)):
        try:
            meant = read_record(body, STEP_BATCH, STEP_BATCH)
        except InvalidValue:
            continue
        (record,) = block
        assert isinstance(record, dict)
        assert record.pop("record_end") in (f"end {10 * n}", f"struct {10 * n}")
        position = {"kafka_topic_id": "tid", "kafka_partition": 3, "kafka_offset": 10 * n}
        assert record == position | meant


@pytest.mark.parametrize("tail", [b"\0", b"\0\0", _string("end 7"), b"\x01" * 40])
def test_bytes_behind_a_body_take_the_place_of_its_end(make_value: MakeValue, tail: bytes) -> None:
    """A reader that skips the rest of a block finds no end there, or the end of another offset."""
    container = Container(STEP_BATCH, "t", 0, [(8, make_value(0, 3) + tail, 10)])
    (block,) = fastavro.block_reader(io.BytesIO(bytes(container)))
    try:
        (record,) = block
    except (ValueError, EOFError):
        return
    assert isinstance(record, dict)
    assert record["record_end"] != "end 8"


STRUCT = layout_of({"position": np.zeros(2, np.float32), "goal": "door"})


@pytest.mark.parametrize(
    ("dtype", "end"),
    [
        (STRUCT.dtype, "end"),
        (STRUCT.dtype.replace("dict", "list"), "struct"),
        (STRUCT.dtype[:-1], "struct"),
        ("omitted:" + STRUCT.dtype[:-1], "struct"),
        ("text", "end"),
        ("struct", "end"),
    ],
)
def test_a_struct_that_is_none_is_said_at_the_end(dtype: str, end: str) -> None:
    """No view can read the description of a struct; what is no struct at all is left to the views."""
    batch = dataclasses.replace(Batches(3).good(), action=b"", observation=b"")
    record = read_record(encode(_with(batch, NONE)), STEP_BATCH, STEP_BATCH)
    record |= {"observation_dtype": dtype, "observation_width": 0 if dtype.startswith("omitted:") else -1}
    body = write_record(STEP_BATCH, record)
    (found,) = _read(Container(STEP_BATCH, "t", 0, [(5, body, 0)]))
    assert found["record_end"] == f"{end} 5"


def test_a_word_in_a_column_is_no_struct() -> None:
    """A batch that only mentions structs is a batch like any other."""
    texts = layout_of("")
    count = (batch := Batches(3).good()).header.count
    column = pack(texts, [b"struct:[]"] * count)
    body = encode(dataclasses.replace(_with(batch, texts), action=column, observation=column))
    (found,) = _read(Container(STEP_BATCH, "t", 0, [(5, body, 0)]))
    assert found["record_end"] == "end 5"


def _with(batch: StepBatch, layout: Layout) -> StepBatch:
    return dataclasses.replace(batch, header=dataclasses.replace(batch.header, action=layout, observation=layout))


def _read(container: Container) -> list[dict[str, object]]:
    return [dict(record) for record in fastavro.reader(io.BytesIO(bytes(container))) if isinstance(record, dict)]

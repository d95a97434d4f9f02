"""The way over a record ends where Avro's writer ended it, and refuses what the strictest reader refuses."""

import contextlib
import io
import json
import tracemalloc
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import AvroSchema, schema
from runbus.schemas.batch import decode
from runbus.schemas.record import read_record
from runbus.schemas.walk import MAX_RECORDS, walk, without_sizes, zigzag
from tests.fuzz.batches import Batches
from tests.fuzz.damage import text
from tests.fuzz.events import GOOD, KINDS, Events

quick = settings(max_examples=60, deadline=None, derandomize=True)
#: every kind of Avro type; a record that contains itself, and types that are met a second time by their names
EVERYTHING = AvroSchema.from_json(
    json.dumps(
        {
            "type": "record",
            "name": "Everything",
            "namespace": "test",
            "fields": [
                {"name": "nothing", "type": "null"},
                {"name": "flag", "type": "boolean"},
                {"name": "small", "type": "int"},
                {"name": "large", "type": "long"},
                {"name": "single", "type": "float"},
                {"name": "double", "type": "double"},
                {"name": "raw", "type": {"type": "bytes", "dtype": "<f4"}},
                {"name": "text", "type": "string"},
                {"name": "colour", "type": {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}},
                {"name": "colours", "type": {"type": "array", "items": "Colour"}},
                {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 4}},
                {"name": "numbers", "type": {"type": "map", "values": "long"}},
                {"name": "maybe", "type": ["null", "string", "Hash"]},
                {"name": "children", "type": {"type": "array", "items": "Everything"}},
            ],
        }
    )
)
LEAF: dict[str, Any] = {
    "nothing": None, "flag": False, "small": 0, "large": 0, "single": 0.0, "double": 0.0, "raw": b"", "text": "",
    "colour": "RED", "colours": [], "hash": b"hash", "numbers": {}, "maybe": None, "children": [],
}  # fmt: skip


def written(record: dict[str, Any]) -> bytes:
    """Return the record as fastavro writes it."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, EVERYTHING.parsed, record)
    return out.getvalue()


def _of(kind: object) -> AvroSchema:
    fields = [{"name": "value", "type": kind}]
    return AvroSchema.from_json(json.dumps({"type": "record", "name": "One", "fields": fields}))


RECORDS: st.SearchStrategy[dict[str, Any]] = st.deferred(
    lambda: st.fixed_dictionaries(
        {
            **{name: st.just(value) for name, value in LEAF.items()},
            "flag": st.booleans(),
            "small": st.integers(-(2**31), 2**31 - 1),
            "large": st.integers(-(2**63), 2**63 - 1),
            "raw": st.binary(max_size=200),
            "text": st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
            "colours": st.lists(st.sampled_from(["RED", "BLUE"]), max_size=3),
            "numbers": st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), st.just(-1)),
            "maybe": st.sampled_from([None, "x", b"\0\0\0\0"]),
            "children": st.lists(RECORDS, max_size=1),
        }
    )
)


@given(RECORDS, st.binary(max_size=3))
@quick
def test_the_way_ends_where_the_record_ends(record: dict[str, Any], behind: bytes) -> None:
    """Of every Avro type and whatever follows, as many bytes are the record's as were written."""
    body = written(record)
    assert walk(EVERYTHING, body + behind) == len(body)


@given(RECORDS, st.data())
@quick
def test_a_record_that_is_cut_has_no_end(record: dict[str, Any], data: st.DataObject) -> None:
    """A cut anywhere is InvalidValue."""
    body = written(record)
    with pytest.raises(InvalidValue):
        walk(EVERYTHING, body[: data.draw(st.integers(0, len(body) - 1))])


@given(st.binary(max_size=60))
@quick
def test_any_bytes_have_an_end_or_none(body: bytes) -> None:
    """Nothing but InvalidValue, and never an end behind the bytes."""
    for kind in (EVERYTHING, schema("StepBatch"), schema("Heartbeat")):
        with contextlib.suppress(InvalidValue):
            assert walk(kind, body) <= len(body)


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("long", b"\x80" * 10 + b"\0"),
        ("long", b"\xff" * 40),
        ("int", zigzag(2**31)),
        ("int", zigzag(-(2**31) - 1)),
        ("bytes", zigzag(-1)),
        ("bytes", zigzag(-(2**63))),
        ("string", b"\x80" * 10 + b"\0"),
        ("string", zigzag(2**62)),
        ("boolean", b"\x02"),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, zigzag(-1)),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, zigzag(2)),
        (["null", "long"], zigzag(2) + b"\0"),
        (["null", "long"], zigzag(-1) + b"\0"),
        ({"type": "array", "items": "long"}, zigzag(2**62)),
        ({"type": "array", "items": "long"}, zigzag(-(2**63)) + zigzag(0)),
        ({"type": "array", "items": "null"}, zigzag(1_000_000)),
        ({"type": "map", "values": "long"}, zigzag(2) + (text(b"k") + b"\0") * 2 + b"\0"),
        ({"type": "map", "values": "long"}, (zigzag(1) + text(b"k") + b"\0") * 2 + b"\0"),
    ],
    ids=str,
)
def test_what_no_reader_should_take_is_refused(kind: object, raw: bytes) -> None:
    """Endless integers, numbers, lengths and choices out of range, more items than bytes, a key twice: InvalidValue."""
    with pytest.raises(InvalidValue):
        walk(_of(kind), raw + bytes(8))


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("long", b"\x80" * 9 + b"\0"),
        ("long", b"\xff" * 9 + b"\x7f"),
        ("int", b"\x80" * 9 + b"\0"),
        ("int", zigzag(-(2**31))),
        ("string", b"\x82\x80\0x"),
        ({"type": "array", "items": "long"}, zigzag(-2) + zigzag(2) + b"\0\0" + zigzag(1) + b"\0\0"),
        ({"type": "array", "items": "long"}, zigzag(-1) + zigzag(77) + b"\0\0"),
        ({"type": "map", "values": "long"}, zigzag(1) + text(b"k") + b"\0" + zigzag(-1) + b"\0" + text(b"l") + b"\0\0"),
    ],
    ids=str,
)
def test_what_other_writers_do_is_taken(kind: object, raw: bytes) -> None:
    """Padded integers of ten bytes, arrays and maps in blocks, with their sizes or without."""
    assert walk(_of(kind), raw + b"next") == len(raw)


@pytest.mark.parametrize("size", [0, 1, 2, 5, -1, 2**40])
@pytest.mark.parametrize("kind", [{"type": "array", "items": "string"}, {"type": "map", "values": "null"}])
def test_what_a_block_says_of_its_size_is_not_looked_at(kind: object, size: int) -> None:
    """Not where a field is read, and not where a reader that does not know the field passes over it."""
    fields = [{"name": "first", "type": "long"}, {"name": "value", "type": kind}, {"name": "last", "type": "long"}]
    writer = AvroSchema.from_json(json.dumps({"type": "record", "name": "One", "fields": fields}))
    reader = AvroSchema.from_json(json.dumps({"type": "record", "name": "One", "fields": [fields[0], fields[2]]}))
    body = zigzag(7) + (zigzag(-1) + zigzag(size) + text(b"a")) + (zigzag(-1) + zigzag(size) + text(b"b")) + b"\0"
    body += zigzag(9)
    assert read_record(body, writer, writer)["last"] == 9
    assert read_record(body, writer, reader) == {"first": 7, "last": 9}
    without = zigzag(7) + b"\x02" + text(b"a") + b"\x02" + text(b"b") + b"\0" + zigzag(9)
    assert without_sizes(writer, body + b"next") == (without, len(body))


def test_an_array_of_records_is_bounded() -> None:
    """Each record becomes a dict, so their number is; what is no record may be as many as there are bytes."""
    item = {"type": "record", "name": "Item", "fields": [{"name": "name", "type": "string"}]}
    many = zigzag(MAX_RECORDS) + bytes(MAX_RECORDS)
    records, texts = _of({"type": "array", "items": item}), _of({"type": "array", "items": "string"})
    assert walk(records, many + b"\0") == len(many) + 1
    for more in (zigzag(MAX_RECORDS + 1) + bytes(MAX_RECORDS + 2), many + zigzag(1) + b"\0\0"):
        with pytest.raises(InvalidValue, match=f"more than {MAX_RECORDS} records"):
            walk(records, more)
        assert walk(texts, more) == len(more)


def test_a_record_that_contains_itself_too_often_is_refused() -> None:
    """A hundred thousand levels are InvalidValue and not the end of the process."""
    kind = {"type": "record", "name": "List", "fields": [{"name": "next", "type": ["null", "List"]}]}
    linked = AvroSchema.from_json(json.dumps(kind))
    assert walk(linked, zigzag(1) * 20 + zigzag(0)) == 21
    with pytest.raises(InvalidValue, match="nested too deep"):
        walk(linked, zigzag(1) * 100_000 + zigzag(0))


@pytest.mark.parametrize("name", GOOD)
def test_the_way_over_an_event_is_the_whole_event(name: str) -> None:
    """What this package writes is walked over to its last byte."""
    assert walk(schema(name), GOOD[name].encode()) == len(GOOD[name].encode())


def test_what_is_decoded_was_walked_over() -> None:
    """Damaged batches and events: a body that decodes is a record to its last byte, a cut one is InvalidValue."""
    source = Batches(1)
    bodies = [source.mutated() for _ in range(500)]
    taken = 0
    for body in bodies:
        try:
            decode(body)
        except InvalidValue:
            continue
        taken += 1
        assert walk(schema("StepBatch"), body) == len(body)
    assert 50 < taken < 450
    for kind in KINDS:
        events = Events(kind, 2)
        for _ in range(100):
            body = events.mutated()
            try:
                kind.decode(body)
            except InvalidValue:
                continue
            assert walk(schema(kind.SCHEMA), body) == len(body)


def test_walking_keeps_nothing() -> None:
    """Megabytes of an array are walked over in a few kilobytes."""
    texts = _of({"type": "array", "items": "string"})
    body = zigzag(30_000) + b"\x04ab" * 30_000 + b"\0"
    walk(texts, body)
    peaks: list[int] = []
    tracemalloc.start()
    while len(peaks) < 10:  # other threads of the process are measured with it: the least of these is the walk's own
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        walk(texts, body)
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
        if peaks[-1] < 4096:
            break
    tracemalloc.stop()
    assert min(peaks) < 4096

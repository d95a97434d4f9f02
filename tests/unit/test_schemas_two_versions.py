"""Each released version reads what every other one wrote, and so does Apache's own Avro library."""

import io
import json
from dataclasses import replace
from itertools import permutations
from typing import Any

import avro.io
import avro.schema
import pytest

from runbus.schemas.avsc import NAMES, AvroSchema, schema
from runbus.schemas.batch import StepBatch, decode, encode
from runbus.schemas.evolution import history
from runbus.schemas.record import read_record, write_record
from tests.fuzz.batches import Batches
from tests.fuzz.events import KINDS, Events
from tests.fuzz.metric_batches import MetricBatches
from tests.unit.batches import OPTIONAL, assert_equal, make_batch

BODIES: dict[str, list[bytes]] = {
    "StepBatch": [encode(make_batch()), *(Batches(5).body() for _ in range(40))],
    "MetricBatch": [MetricBatches(5).body() for _ in range(40)],
    **{kind.SCHEMA: [Events(kind, 5).body()] for kind in KINDS},
}
PAIRS = [(old, new) for name in NAMES for old, new in permutations(history(name), 2)]


def _without_news(batch: StepBatch) -> StepBatch:
    """Return a batch without what version 2 added."""
    news: dict[str, Any] = dict.fromkeys(OPTIONAL[2:])
    columns = replace(batch.columns, **news)
    return replace(batch, columns=columns, large_seeds=(), labels=(), stop=())


@pytest.mark.parametrize(("writer", "reader"), PAIRS, ids=lambda s: f"{s.name} {s.fingerprint.hex()[:4]}")
def test_any_version_reads_any_other(writer: AvroSchema, reader: AvroSchema) -> None:
    """An old reader of new values and a new reader of old ones see the fields that both have as they were written."""
    now = schema(writer.name)
    for body in BODIES[writer.name]:
        record = read_record(body, now, now)
        written = {f["name"]: record[f["name"]] for f in writer.fields}
        found = read_record(write_record(writer, written), writer, reader)
        assert list(found) == [f["name"] for f in reader.fields]
        assert {
            name: value for name, value in found.items() if name in written and _differs(value, written[name])
        } == {}
        added = [f for f in reader.fields if f["name"] not in written]
        assert all(found[f["name"]] == f["default"] if f["default"] else not found[f["name"]] for f in added)


def _differs(left: object, right: object) -> bool:
    return repr(left) != repr(right)  # NaN equals NaN


def test_a_batch_of_version_1_is_a_batch_without_the_news() -> None:
    """The decoder gives no kinds, labels and so on for it, and everything else bit for bit."""
    first, now = history("StepBatch")[0], schema("StepBatch")
    for body in BODIES["StepBatch"]:
        record = read_record(body, now, now)
        old = write_record(first, {f["name"]: record[f["name"]] for f in first.fields})
        assert_equal(decode(old, first), _without_news(decode(body)))


def test_what_nobody_uses_costs_a_byte_a_field() -> None:
    """A batch without labels, kinds and the like is seven bytes longer than in version 1."""
    first, now = history("StepBatch")[0], schema("StepBatch")
    body = encode(_without_news(make_batch()))
    record = read_record(body, now, now)
    old = write_record(first, {f["name"]: record[f["name"]] for f in first.fields})
    assert body == old + bytes(7)


# --- an independent reader and writer -------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_apache_avro_reads_what_this_package_writes(name: str) -> None:
    """Every field has the value that this package reads."""
    parsed = _apache(schema(name))
    for body in BODIES[name]:
        decoder = avro.io.BinaryDecoder(io.BytesIO(body))
        found: Any = avro.io.DatumReader(parsed).read(decoder)
        assert not _differs(found, read_record(body, schema(name), schema(name)))


@pytest.mark.parametrize("name", NAMES)
def test_this_package_reads_what_apache_avro_writes(name: str) -> None:
    """A record that Apache's library wrote is the same bytes."""
    parsed = _apache(schema(name))
    for body in BODIES[name]:
        out = io.BytesIO()
        record = read_record(body, schema(name), schema(name))
        avro.io.DatumWriter(parsed).write(record, avro.io.BinaryEncoder(out))
        assert read_record(out.getvalue(), schema(name), schema(name)).keys() == record.keys()
        assert out.getvalue() == body


def test_apache_avro_resolves_the_versions_alike() -> None:
    """An old reader and a new one, by Apache's rules of resolution, get what this package gets."""
    for writer, reader in PAIRS:
        for body in BODIES[writer.name]:
            record = read_record(body, schema(writer.name), schema(writer.name))
            old = write_record(writer, {f["name"]: record[f["name"]] for f in writer.fields})
            found: Any = avro.io.DatumReader(_apache(writer), _apache(reader)).read(
                avro.io.BinaryDecoder(io.BytesIO(old))
            )
            mine = read_record(old, writer, reader)
            assert not _differs({k: v or None for k, v in found.items()}, {k: v or None for k, v in mine.items()})


def _apache(one: AvroSchema) -> avro.schema.Schema:
    return avro.schema.parse(json.dumps(json.loads(one.text)))

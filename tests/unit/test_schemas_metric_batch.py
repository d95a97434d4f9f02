"""A MetricBatch is exactly what was put in, or it is refused; whatever bytes arrive."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.config.errors import InvalidValue
from runbus.schemas.avsc import schema
from runbus.schemas.batch import MAX_COUNT
from runbus.schemas.batches import BATCHES
from runbus.schemas.metric_batch import (
    MetricBatch,
    MetricColumns,
    MetricHeader,
    check,
    decode,
    decode_header,
    encode,
)
from runbus.schemas.record import read_record, write_record
from tests.fuzz.metric_batches import MetricBatches, metric_rows
from tests.unit.batches import quick

SEEDS = st.integers(0, 2**32)


def make_batch(count: int = 3) -> MetricBatch:
    """Return a batch of two names, the last value a score with words."""
    last = np.arange(count) == count - 1
    return MetricBatch(
        MetricHeader("run", "learner-0", 1_700_000_000_000_000, 10, count, 2, 1_700_000_000_000_001),
        MetricColumns(
            name=(np.arange(count) % 2).astype("<u2"),
            ts=np.arange(count) + 1_700_000_000_000_000,
            value=np.array([np.nan, *np.arange(count - 1)]),
            kind=last.astype("|u1"),
            episode=np.where(last, 4, -1),
        ),
        ("loss", "reward"),
        ("global_step", ""),
        agent=("",) * (count - 1) + ("agent-0",),
        label=("",) * (count - 1) + ("good",),
    )


def body_with(**fields: object) -> bytes:
    """Return a body in which some Avro fields are other than `encode` would write them."""
    known = schema("MetricBatch")
    return write_record(known, {**read_record(encode(make_batch()), known, known), **fields})


@given(SEEDS)
@quick
def test_any_batch_comes_back_bit_for_bit(seed: int) -> None:
    """Names of any script on any axis, absent positions and numbers, NaN, infinities, references and words."""
    batch = MetricBatches(seed).good()
    body = encode(batch)
    found = decode(body)
    assert decode_header(body) == batch.header == found.header
    assert encode(found) == body
    for name in schema("MetricBatch").dtypes:
        put, got = getattr(batch.columns, name), getattr(found.columns, name)
        assert (put is None) == (got is None)
        assert put is None or put.tobytes() == got.tobytes()
    assert (found.names, found.axes, found.text) == (batch.names, batch.axes, batch.text)


@given(SEEDS, st.integers(1, 4))
@quick
def test_the_parts_of_a_batch_are_its_values(seed: int, at: int) -> None:
    """Two slices have the rows of the whole, each with the names that it uses and no others."""
    whole = MetricBatches(seed).good()
    cut = min(at, whole.header.count)
    bounds = [(0, cut), (cut, whole.header.count)] if cut < whole.header.count else [(0, cut)]
    parts = [whole.slice(*bound) for bound in bounds]
    assert [row for part in parts for row in metric_rows(encode(part))] == metric_rows(encode(whole))
    assert all(len(part.names) == len(set(part.columns.name.tolist())) for part in parts)
    assert parts[-1].header.next_seq == whole.header.next_seq


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"count": 4}, "count values|bytes, must be"),
        ({"count": 0}, "count 0: must be 1"),
        ({"count": MAX_COUNT + 1}, "count 1000001"),
        ({"dropped": -1}, "dropped -1 is negative"),
        ({"first_seq": 2**63 - 1}, "first_seq"),
        ({"run_id": "a/b"}, "run_id"),
        ({"source": ""}, "source is empty"),
        ({"names": [], "axes": []}, "0 names"),
        ({"axes": ["global_step"]}, "2 names have 1 axes"),
        ({"names": ["loss", "loss"], "axes": ["", ""]}, "twice"),
        ({"names": ["loss", ""]}, "a name is empty"),
        ({"name": bytes([0, 0, 2, 0, 0, 0])}, "index that is no name's"),
        ({"name": b""}, "column name"),
        ({"ts": b""}, "column ts"),
        ({"value": bytes(23)}, "column value"),
        ({"at": bytes(16)}, "column at"),
        ({"absent": b"\0\0\2"}, "absent"),
        ({"env": b"\xfe" + b"\xff" * 11}, "env has a value below -1"),
        ({"agent_attempt": b"\xff" * 24}, "agent_attempt has a value below 0"),
        ({"label": ["good"]}, "1 entries"),
        ({"text": [""] * 4}, "4 entries"),
    ],
)
def test_a_batch_that_lies_is_refused(fields: dict[str, object], says: str) -> None:
    """Each column agrees with the count, each index with the names, each reference is one."""
    with pytest.raises(InvalidValue, match=says):
        decode(body_with(**fields))


def test_writer_and_reader_have_the_same_rules() -> None:
    """What the reader would refuse is not written."""
    batch = make_batch()
    wrong: list[Any] = [
        replace(batch, columns=replace(batch.columns, value=np.zeros(3, "<f4"))),
        replace(batch, columns=replace(batch.columns, episode=np.full(3, -2))),
        replace(batch, names=("loss",)),
        replace(batch, text=("only one",)),
    ]
    for one in wrong:
        with pytest.raises(InvalidValue):
            check(one)
    with pytest.raises(InvalidValue, match="surrogates"):
        encode(replace(batch, label=("", "", "\ud800")))


@given(st.binary(max_size=60), st.integers(0, 400))
@quick
def test_any_bytes_are_a_batch_or_refused(junk: bytes, cut: int) -> None:
    """Nothing but InvalidValue comes out of what is cut short or has junk in it."""
    body = encode(make_batch())
    for damaged in (body[:cut], body[:cut] + junk, junk + body):
        try:
            decode(damaged)
        except InvalidValue:
            continue


@pytest.mark.parametrize("name", sorted(BATCHES))
def test_headers_begin_alike(name: str) -> None:
    """Who reads how many rows a value has skips the same four fields in each kind of batch."""
    fields = [(f["name"], f["type"]) for f in schema(name).fields][:7]
    assert [kind for _, kind in fields] == ["string", "string", "long", "long", "int", "long", "long"]
    assert [field for field, _ in fields][2:] == ["attempt", "first_seq", "count", "dropped", "sent_at"]

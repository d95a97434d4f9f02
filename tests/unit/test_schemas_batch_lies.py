"""A StepBatch that lies about itself is refused, whatever bytes arrive, and costs no more memory than it has bytes."""

import contextlib
import random
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from runbus.config.errors import MAX_REASON, InvalidValue
from runbus.schemas.batch import (
    BatchHeader,
    Extra,
    check,
    decode,
    decode_header,
    encode,
)
from runbus.schemas.walk import MAX_RECORDS
from tests.unit.batches import COLUMNS, OPTIONAL, assert_equal, make_batch, make_body


def test_the_handmade_body_is_a_good_one() -> None:
    """The body that the next test spoils decodes as it is."""
    assert decode(make_body({})).header.count == 3


@pytest.mark.parametrize(
    "fields",
    [
        *({name: b""} for name in COLUMNS if name not in OPTIONAL),
        *({name: np.zeros(2, dtype).tobytes()} for name, dtype in COLUMNS.items()),
        *({name: np.zeros(4, dtype).tobytes()} for name, dtype in COLUMNS.items()),
        *({name: np.zeros(3, dtype).tobytes()[:-1]} for name, dtype in COLUMNS.items()),
        {"count": 0},
        {"count": -3},
        {"count": 2**31 - 1},
        {"count": 2**31},
        {"count": 2**62},
        {"action_width": 2},
        {"action_width": 2**40},
        {"action_shape": [-1]},
        {"action_shape": [2**31]},
        {"action_shape": [1] * 100_000},
        {"observation_dtype": "struct:{}"},
        {"observation_dtype": ">f4"},
        {"observation_dtype": "", "observation_width": 0},
        {"extras": [{"name": "a", "rows": bytes(3), "values": bytes(8)}]},
        {"extras": [{"name": "a", "rows": bytes(4), "values": bytes(7)}]},
        {"extras": [{"name": "a", "rows": bytes(4), "values": b""}]},
        {"extras": [{"name": "a", "rows": b"\xff" * 4, "values": bytes(8)}]},
        {"extras": [{"name": "a", "rows": b"", "values": b""}] * 2},
        {"info": ["{}"]},
        {"stop": ["{}"]},
        {"large_seeds": ["1"] * 4},
        {"large_seeds": ["x"] * 3},
        {"labels": [{"name": "a", "rows": bytes(3), "values": ["x"]}]},
        {"labels": [{"name": "a", "rows": bytes(4), "values": []}]},
        {"labels": [{"name": "a", "rows": b"\xff" * 4, "values": ["x"]}]},
        {"labels": [{"name": "a", "rows": bytes(8), "values": ["x", "y"]}]},
        {"labels": [{"name": "a", "rows": b"", "values": []}] * 2},
        {"absent": b"\x04\x00\x00"},
        {"action_dtype": "<i8", "action_shape": [-1]},
        {"action_dtype": "<f4", "action_shape": [-1, 0], "action": bytes(12)},
        {"terminated": b"\x02\x00\x00"},
        {"run_id": "a/b"},
        {"attempt": -1},
    ],
    ids=lambda f: str(f)[:40],
)
def test_a_record_that_lies_is_refused(fields: dict[str, object]) -> None:
    """A well-formed Avro record whose columns contradict its header raises InvalidValue, without allocating for it."""
    body = make_body(fields)
    tracemalloc.start()
    with pytest.raises(InvalidValue):
        decode(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 2**20


def test_every_truncation_is_refused() -> None:
    """A body cut at any byte raises InvalidValue, and so does one with a byte too many."""
    body = encode(make_batch())
    for end in range(len(body)):
        with pytest.raises(InvalidValue):
            decode(body[:end])
    for tail in (b"\x00", body):
        with pytest.raises(InvalidValue, match="bytes follow"):
            decode(body + tail)


def test_every_truncation_of_the_header_is_refused() -> None:
    """decode_header needs exactly the header's bytes: one less is refused."""
    batch = make_batch()
    body = encode(batch)
    decoded = [end for end in range(len(body)) if _header_or_none(body[:end]) is not None]
    assert decoded
    assert decoded == list(range(decoded[0], len(body)))
    assert decode_header(body[: decoded[0]]) == batch.header


def _header_or_none(body: bytes) -> BatchHeader | None:
    try:
        return decode_header(body)
    except InvalidValue:
        return None


def test_a_flipped_bit_gives_a_valid_batch_or_an_error() -> None:
    """Each bit of a body flipped: the batch passes every check and can be written again, or it is InvalidValue."""
    body = encode(make_batch())
    accepted = 0
    for position in range(len(body) * 8):
        spoilt = bytearray(body)
        spoilt[position // 8] ^= 1 << position % 8
        accepted += _decodes(bytes(spoilt))
    assert 0 < accepted < len(body) * 8


def test_random_bytes_give_a_valid_batch_or_an_error() -> None:
    """Random bytes, and bodies with random runs overwritten, raise nothing but InvalidValue."""
    dice = random.Random(20_261_123)
    body = encode(make_batch(2))
    for _ in range(1500):
        start = dice.randrange(len(body))
        _decodes(body[:start] + dice.randbytes(dice.randrange(1, 30)) + body[start + dice.randrange(30) :])
        _decodes(dice.randbytes(dice.randrange(60)))


def _decodes(body: bytes) -> bool:
    try:
        batch = decode(body)
    except InvalidValue:
        return False
    check(batch)
    assert_equal(decode(encode(batch)), batch)
    return True


def test_a_length_that_lies_allocates_nothing() -> None:
    """A string, an array or a column that claims 2^31 or 2^62 entries is refused within the bytes that are there."""
    huge = b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"  # a zigzag long of 2^62 - 1
    two_gib = b"\x80\x80\x80\x80\x10"
    body = encode(make_batch())
    tracemalloc.start()
    for claim in (huge, two_gib, b"\x01", b"\xff" * 10):
        for position in range(0, len(body), 3):
            _decodes(body[:position] + claim + body[position:])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 * 2**20


@pytest.mark.parametrize(
    "fields",
    [
        {"info": [""] * 20_000},
        {"info": ["ab"] * 20_000},
        {"action_shape": [300] * 20_000},
        {"extras": [{"name": f"{n:x}", "rows": b"", "values": b""} for n in range(5_000)]},
        {"extras": [{"name": "", "rows": b"", "values": b""}] * 5_000},
        {"extras": [{"name": "", "rows": b"", "values": b""}] * (MAX_RECORDS + 1)},
        {"extras": [{"name": "n" * 400_000, "rows": b"", "values": b""}] * 2},
        {"observation_dtype": "struct:" + "[" * 60_000},
        {"observation_dtype": "x" * 400_000},
        {"run_id": "x" * 400_000},
    ],
    ids=lambda f: str(f)[:40],
)
def test_what_a_body_allocates_is_bounded_by_its_bytes(fields: dict[str, Any]) -> None:
    """Whether it decodes or not: 32 times its own bytes at most, and two thirds of a kilobyte an extra."""
    body = make_body(fields)
    tracemalloc.start()
    with contextlib.suppress(InvalidValue):
        decode(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 * len(body) + 640 * min(len(fields.get("extras", ())), MAX_RECORDS) + 65_536


def test_a_batch_has_a_bounded_number_of_extras() -> None:
    """Writer and reader agree on how many names are too many."""
    extra = Extra("", np.zeros(0, "<u4"), np.zeros(0))
    with pytest.raises(InvalidValue, match=f"at most {MAX_RECORDS}"):
        encode(replace(make_batch(1), extras=(extra,) * (MAX_RECORDS + 1)))
    with pytest.raises(InvalidValue, match=f"more than {MAX_RECORDS}"):
        decode(make_body({"extras": [{"name": "", "rows": b"", "values": b""}] * (MAX_RECORDS + 1)}))


def test_a_reason_is_short_whatever_it_quotes() -> None:
    """It is a header of a dead letter: megabytes of a name or a shape would make that a record that no topic takes."""
    long = "n" * 100_000
    lies: list[dict[str, object]] = [
        {"extras": [{"name": long, "rows": b"", "values": b""}] * 2},
        {"extras": [{"name": long, "rows": b"\0", "values": b""}]},
        {"extras": [{"name": f"{n:x}", "rows": b"", "values": b""} for n in (*range(9_000), 1)]},
        {"observation_dtype": "struct:[]", "observation_shape": [2**31 - 1] * 50_000},
        {"observation_dtype": long},
        {"observation_dtype": "omitted:" + long},
        {"observation_dtype": "struct:" + long},
        {"run_id": long},
    ]
    for lie in lies:
        with pytest.raises(InvalidValue) as refused:
            decode(make_body(lie))
        assert len(str(refused.value)) <= MAX_REASON
    assert str(InvalidValue("x" * MAX_REASON)) == "x" * MAX_REASON
    assert str(InvalidValue("x" * (MAX_REASON + 1))) == "x" * (MAX_REASON - 3) + "..."

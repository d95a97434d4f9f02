"""A StepBatch is exactly what was put in, or it is refused; whatever bytes arrive."""

import contextlib
import json
import random
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from runbus.schemas.avsc import schema
from runbus.schemas.batch import (
    MAX_COUNT,
    NO_SEED,
    BatchHeader,
    Extra,
    StepBatch,
    StepColumns,
    check,
    decode,
    decode_header,
    encode,
)
from runbus.schemas.errors import MAX_REASON, InvalidValue
from runbus.schemas.layout import NONE, Layout, layout_of
from runbus.schemas.record import write_record
from runbus.schemas.walk import MAX_RECORDS

quick = settings(max_examples=50, deadline=None, derandomize=True)
COLUMNS = {
    "env": "<i4",
    "episode": "<i8",
    "step": "<i4",
    "ts": "<i8",
    "reward": "<f8",
    "terminated": "|u1",
    "truncated": "|u1",
    "tick": "<i8",
    "seed": "<i8",
}
TEXT = Layout("text", (), -1)
PAIR = layout_of((np.zeros(2, np.float32), "x"))


def _columns(count: int) -> StepColumns:
    ramp: dict[str, Any] = {name: np.arange(count).astype(dtype) for name, dtype in COLUMNS.items()}
    flags = (np.arange(count) % 2).astype("|u1")
    return StepColumns(**{**ramp, "terminated": flags, "truncated": 1 - flags})


def _batch(count: int = 3) -> StepBatch:
    return StepBatch(
        header=BatchHeader("run", "agent", 1_700_000_000_000_000, 10, count, 2, 1_700_000_000_000_001, TEXT, PAIR),
        columns=_columns(count),
        action=np.full(count, 2, "<u4").tobytes() + b"go" * count,
        observation=np.full(count, 13, "<u4").tobytes() + bytes(8 * count + 4 * count + count),
        extras=(Extra("loss", np.array([0, count - 1], "<u4"), np.array([0.5, np.nan], "<f8")),),
        info=tuple(json.dumps({"n": n}) for n in range(count)),
    )


def _body(fields: dict[str, object], count: int = 3) -> bytes:
    """Return a body in which some Avro fields are other than `encode` would write them."""
    values: dict[str, object] = {f["name"]: None for f in schema("StepBatch").fields}
    good = _batch(count)
    for name, dtype in COLUMNS.items():
        values[name] = getattr(good.columns, name).astype(dtype).tobytes()
    for name in ("action", "observation"):
        layout: Layout = getattr(good.header, name)
        values |= {f"{name}_dtype": layout.dtype, f"{name}_shape": list(layout.shape), f"{name}_width": layout.width}
    header = {name: getattr(good.header, name) for name in ("run_id", "agent_id", "attempt", "first_seq", "count")}
    header |= {"dropped": 0, "sent_at": 1, "extras": [], "info": [], "action": good.action}
    return write_record(schema("StepBatch"), {**values, **header, "observation": good.observation, **fields})


def _assert_equal(left: StepBatch, right: StepBatch) -> None:
    assert left.header == right.header
    assert (left.action, left.observation, left.info) == (right.action, right.observation, right.info)
    for name, dtype in COLUMNS.items():
        a, b = getattr(left.columns, name), getattr(right.columns, name)
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == np.dtype(dtype)
            assert a.tobytes() == b.tobytes()
    assert [e.name for e in left.extras] == [e.name for e in right.extras]
    for a, b in zip(left.extras, right.extras, strict=True):
        assert a.rows.tobytes() == b.rows.tobytes()
        assert a.values.tobytes() == b.values.tobytes()


# --- what goes in comes out -----------------------------------------------------------------------------------


@st.composite
def _batches(draw: st.DrawFn) -> StepBatch:
    count = draw(st.integers(1, 5))

    def column(name: str) -> Any:
        elements = st.integers(0, 1) if COLUMNS[name] == "|u1" else None
        return draw(hnp.arrays(np.dtype(COLUMNS[name]), count, elements=elements))

    columns: dict[str, Any] = {name: column(name) for name in COLUMNS}
    for name in ("tick", "seed"):
        columns[name] = columns[name] if draw(st.booleans()) else None
    names = draw(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), unique=True, max_size=3))
    extras = []
    for name in names:
        rows = np.array(sorted(draw(st.sets(st.integers(0, count - 1)))), "<u4")
        extras.append(Extra(name, rows, draw(hnp.arrays(np.dtype("<f8"), rows.size))))
    ids = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=20)
    longs = st.integers(0, 2**62)
    layout = draw(st.sampled_from([NONE, Layout("<f2", (3, 1), 6), Layout("|u1", (0,), 0), NONE, Layout("<i8", (), 8)]))
    texts = draw(st.lists(st.binary(max_size=9), min_size=count, max_size=count))
    return StepBatch(
        header=BatchHeader(
            draw(ids), draw(ids), draw(longs), draw(longs), count, draw(longs), draw(longs), layout, TEXT
        ),
        columns=StepColumns(**columns),
        action=draw(st.binary(min_size=layout.width * count, max_size=layout.width * count)),
        observation=np.array([len(t) for t in texts], "<u4").tobytes() + b"".join(texts),
        extras=tuple(extras),
        info=tuple(draw(st.sampled_from(["", "{}", '{"a":"\\ud800"}', "\x00"])) for _ in range(count)),
    )


@given(_batches())
@quick
def test_any_batch_comes_back_bit_for_bit(batch: StepBatch) -> None:
    """Ids of any script, extreme integers, NaN payloads, absent ticks and seeds, extras and info all come back."""
    body = encode(batch)
    _assert_equal(decode(body), batch)
    assert decode_header(body) == batch.header


def test_the_extremes_of_every_column_come_back() -> None:
    """The smallest and largest integer of each column, and reward's NaN payload, survive."""
    batch = _batch(2)
    columns: dict[str, Any] = {
        name: np.array([np.iinfo(dtype).min, np.iinfo(dtype).max], dtype)
        for name, dtype in COLUMNS.items()
        if dtype.startswith("<i")
    }
    reward = np.array([0x7FF4DEADBEEF0001, 0xFFF0000000000000], "<u8").view("<f8")
    batch = replace(batch, columns=replace(batch.columns, **columns, reward=reward))
    _assert_equal(decode(encode(batch)), batch)


def test_non_contiguous_columns_are_taken_as_they_look() -> None:
    """A column that is a view with a stride is written element by element."""
    reward = np.arange(6, dtype="<f8")[::-2]
    assert decode(encode(replace(_batch(), columns=replace(_columns(3), reward=reward)))).columns.reward.tolist() == [
        5.0,
        3.0,
        1.0,
    ]


def test_seeds_and_ticks_may_be_absent() -> None:
    """No seed and no tick at all is an empty column; a single absent seed is NO_SEED."""
    batch = replace(_batch(2), columns=replace(_columns(2), tick=None, seed=None))
    assert decode(encode(batch)).columns.tick is None
    assert decode(encode(batch)).columns.seed is None
    seeds = np.array([7, NO_SEED], "<i8")
    found = decode(encode(replace(batch, columns=replace(batch.columns, seed=seeds)))).columns.seed
    assert found is not None
    assert found.tolist() == [7, -(2**63)]


def test_the_next_seq_follows_the_last_step() -> None:
    """A stream's next batch begins where this one ends."""
    assert _batch(3).header.next_seq == 13


# --- liars in the process -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("change", ["short", "long", "dtype", "byte order", "shape"])
def test_a_column_that_does_not_fit_is_refused(name: str, change: str) -> None:
    """Each column: one short, one long, another dtype, big-endian, two-dimensional."""
    good = getattr(_columns(3), name)
    wrong = {
        "short": good[:-1],
        "long": np.append(good, good[:1]),
        "dtype": good.astype("<i2"),
        "byte order": good.astype(good.dtype.newbyteorder(">")) if good.dtype.itemsize > 1 else good.astype("|i1"),
        "shape": good.reshape(3, 1),
    }[change]
    columns: dict[str, Any] = {name: wrong}
    with pytest.raises(InvalidValue, match=f"column {name}"):
        encode(replace(_batch(), columns=replace(_columns(3), **columns)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("count", 0),
        ("count", -1),
        ("count", 2),
        ("count", 4),
        ("count", MAX_COUNT + 1),
        ("count", 2**31),
        ("attempt", -1),
        ("first_seq", -1),
        ("first_seq", 2**63 - 1),
        ("attempt", 2**63),
        ("dropped", -1),
        ("sent_at", -5),
        ("run_id", ""),
        ("agent_id", ""),
        ("run_id", "a/b"),
        ("agent_id", "a\nb"),
        ("run_id", "\ud800"),
        ("run_id", "x" * 256),
        ("action", Layout("text", (), 0)),
        ("action", Layout("<f4", (-1,), -4)),
        ("observation", Layout("<f4", (2,), 8)),
        ("observation", NONE),
    ],
)
def test_a_header_that_does_not_fit_is_refused(field: str, value: object) -> None:
    """Counts, ids, times and layouts outside of their range, or against the columns, raise InvalidValue."""
    header: dict[str, Any] = {field: value}
    with pytest.raises(InvalidValue):
        encode(replace(_batch(), header=replace(_batch().header, **header)))


@pytest.mark.parametrize(
    "change",
    [
        {"action": b""},
        {"action": _batch().action + b"x"},
        {"action": _batch().action[:-1]},
        {"observation": b""},
        {"info": ("{}",)},
        {"info": ("{}",) * 4},
        {"info": ("\ud800",) * 3},
        {"info": (1, 2, 3)},
        {"extras": (Extra("\ud800", np.zeros(1, "<u4"), np.zeros(1)),)},
        {"extras": (Extra("a", np.array([0, 3], "<u4"), np.zeros(2)),)},
        {"extras": (Extra("a", np.array([1, 0], "<u4"), np.zeros(2)),)},
        {"extras": (Extra("a", np.array([1, 1], "<u4"), np.zeros(2)),)},
        {"extras": (Extra("a", np.array([0, 1], "<u4"), np.zeros(1)),)},
        {"extras": (Extra("a", np.zeros((1, 1), "<u4"), np.zeros((1, 1))),)},
        {"extras": (Extra("a", np.array([-1, 0]), np.zeros(2)),)},
        {"extras": (Extra("a", np.zeros(1, "<u4"), np.zeros(1, "<f4")),)},
        {"extras": (Extra("a", np.zeros(1, "<u4"), np.zeros(1)),) * 2},
        {"columns": replace(_columns(3), terminated=np.array([0, 2, 1], "|u1"))},
        {"columns": replace(_columns(3), truncated=np.array([0, 255, 1], "|u1"))},
    ],
    ids=lambda c: str(c)[:40],
)
def test_parts_that_do_not_fit_are_refused(change: dict[str, Any]) -> None:
    """Values, info and extras that contradict the count, the layout or UTF-8 raise InvalidValue."""
    with pytest.raises(InvalidValue):
        encode(replace(_batch(), **change))


# --- liars in the log -----------------------------------------------------------------------------------------


def test_the_handmade_body_is_a_good_one() -> None:
    """The body that the next test spoils decodes as it is."""
    assert decode(_body({})).header.count == 3


@pytest.mark.parametrize(
    "fields",
    [
        *({name: b""} for name in COLUMNS if name not in ("tick", "seed")),
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
        {"action_shape": [1] * 1_000_000},
        {"observation_dtype": "struct:{}"},
        {"observation_dtype": ">f4"},
        {"observation_dtype": "", "observation_width": 0},
        {"extras": [{"name": "a", "rows": bytes(3), "values": bytes(8)}]},
        {"extras": [{"name": "a", "rows": bytes(4), "values": bytes(7)}]},
        {"extras": [{"name": "a", "rows": bytes(4), "values": b""}]},
        {"extras": [{"name": "a", "rows": b"\xff" * 4, "values": bytes(8)}]},
        {"extras": [{"name": "a", "rows": b"", "values": b""}] * 2},
        {"info": ["{}"]},
        {"terminated": b"\x02\x00\x00"},
        {"run_id": "a/b"},
        {"attempt": -1},
    ],
    ids=lambda f: str(f)[:40],
)
def test_a_record_that_lies_is_refused(fields: dict[str, object]) -> None:
    """A well-formed Avro record whose columns contradict its header raises InvalidValue, without allocating for it."""
    body = _body(fields)
    tracemalloc.start()
    with pytest.raises(InvalidValue):
        decode(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 2**20


def test_every_truncation_is_refused() -> None:
    """A body cut at any byte raises InvalidValue, and so does one with a byte too many."""
    body = encode(_batch())
    for end in range(len(body)):
        with pytest.raises(InvalidValue):
            decode(body[:end])
    for tail in (b"\x00", body):
        with pytest.raises(InvalidValue, match="bytes follow"):
            decode(body + tail)


def test_every_truncation_of_the_header_is_refused() -> None:
    """decode_header needs exactly the header's bytes: one less is refused."""
    batch = _batch()
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
    body = encode(_batch())
    accepted = 0
    for position in range(len(body) * 8):
        spoilt = bytearray(body)
        spoilt[position // 8] ^= 1 << position % 8
        accepted += _decodes(bytes(spoilt))
    assert 0 < accepted < len(body) * 8


def test_random_bytes_give_a_valid_batch_or_an_error() -> None:
    """Random bytes, and bodies with random runs overwritten, raise nothing but InvalidValue."""
    dice = random.Random(20_261_123)
    body = encode(_batch(2))
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
    _assert_equal(decode(encode(batch)), batch)
    return True


def test_a_length_that_lies_allocates_nothing() -> None:
    """A string, an array or a column that claims 2^31 or 2^62 entries is refused within the bytes that are there."""
    huge = b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"  # a zigzag long of 2^62 - 1
    two_gib = b"\x80\x80\x80\x80\x10"
    body = encode(_batch())
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
    body = _body(fields)
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
        encode(replace(_batch(1), extras=(extra,) * (MAX_RECORDS + 1)))
    with pytest.raises(InvalidValue, match=f"more than {MAX_RECORDS}"):
        decode(_body({"extras": [{"name": "", "rows": b"", "values": b""}] * (MAX_RECORDS + 1)}))


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
            decode(_body(lie))
        assert len(str(refused.value)) <= MAX_REASON
    assert str(InvalidValue("x" * MAX_REASON)) == "x" * MAX_REASON
    assert str(InvalidValue("x" * (MAX_REASON + 1))) == "x" * (MAX_REASON - 3) + "..."

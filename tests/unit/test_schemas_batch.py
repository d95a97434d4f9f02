"""A StepBatch is exactly what was put in, or it is refused; whatever bytes arrive."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from runbus.config.errors import InvalidValue
from runbus.schemas.batch import (
    MAX_COUNT,
    NO_SEED,
    BatchHeader,
    Extra,
    Label,
    StepBatch,
    StepColumns,
    decode,
    decode_header,
    encode,
)
from runbus.schemas.layout import NONE, Layout
from tests.unit.batches import COLUMNS, OPTIONAL, TEXT, assert_equal, make_batch, make_columns, quick

# --- what goes in comes out -----------------------------------------------------------------------------------


UTF8 = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
SEEDS = st.one_of(st.just(""), st.integers().map(str), st.integers().map(hex))


@st.composite
def _labels(draw: st.DrawFn, count: int, name: str) -> Label:
    rows = sorted(draw(st.sets(st.integers(0, count - 1))))
    return Label(name, np.array(rows, "<u4"), tuple(draw(UTF8) for _ in rows))


@st.composite
def _batches(draw: st.DrawFn) -> StepBatch:
    count = draw(st.integers(1, 5))

    def column(name: str) -> Any:
        most = {"terminated": 1, "truncated": 1, "absent": 3}.get(name)
        elements = None if most is None else st.integers(0, most)
        return draw(hnp.arrays(np.dtype(COLUMNS[name]), count, elements=elements))

    columns: dict[str, Any] = {name: column(name) for name in COLUMNS}
    for name in OPTIONAL:
        columns[name] = columns[name] if draw(st.booleans()) else None
    names = draw(st.lists(UTF8, unique=True, max_size=3))
    extras = []
    for name in names:
        rows = np.array(sorted(draw(st.lists(st.integers(0, count - 1), max_size=9))), "<u4")
        extras.append(Extra(name, rows, draw(hnp.arrays(np.dtype("<f8"), rows.size))))
    labels = [draw(_labels(count, name)) for name in draw(st.lists(UTF8, unique=True, max_size=3))]
    ids = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=20)
    longs = st.integers(0, 2**62)
    layout = draw(st.sampled_from([NONE, Layout("<f2", (3, 1), 6), Layout("|u1", (0,), 0), NONE, Layout("<i8", (), 8)]))
    seen = draw(st.sampled_from([TEXT, Layout("|u1", (-1,), -1), Layout("omitted:<f4", (-1, 2), 0)]))
    texts = draw(st.lists(st.binary(max_size=9), min_size=count, max_size=count))
    return StepBatch(
        header=BatchHeader(
            draw(ids), draw(ids), draw(longs), draw(longs), count, draw(longs), draw(longs), layout, seen
        ),
        columns=StepColumns(**columns),
        action=draw(st.binary(min_size=layout.width * count, max_size=layout.width * count)),
        observation=np.array([len(t) for t in texts], "<u4").tobytes() + b"".join(texts) if seen.recorded else b"",
        extras=tuple(extras),
        info=tuple(draw(st.sampled_from(["", "{}", '{"a":"\\ud800"}', "\x00"])) for _ in range(count)),
        large_seeds=tuple(draw(SEEDS) for _ in range(draw(st.sampled_from([0, count])))),
        labels=tuple(labels),
        stop=tuple(draw(UTF8) for _ in range(draw(st.sampled_from([0, count])))),
    )


@given(_batches())
@quick
def test_any_batch_comes_back_bit_for_bit(batch: StepBatch) -> None:
    """Ids of any script, extreme integers, NaN payloads, absent ticks and seeds, extras and info all come back."""
    body = encode(batch)
    assert_equal(decode(body), batch)
    assert decode_header(body) == batch.header


def test_the_extremes_of_every_column_come_back() -> None:
    """The smallest and largest integer of each column, and reward's NaN payload, survive."""
    batch = make_batch(2)
    columns: dict[str, Any] = {
        name: np.array([np.iinfo(dtype).min, np.iinfo(dtype).max], dtype)
        for name, dtype in COLUMNS.items()
        if dtype.startswith("<i")
    }
    reward = np.array([0x7FF4DEADBEEF0001, 0xFFF0000000000000], "<u8").view("<f8")
    batch = replace(batch, columns=replace(batch.columns, **columns, reward=reward))
    assert_equal(decode(encode(batch)), batch)


def test_non_contiguous_columns_are_taken_as_they_look() -> None:
    """A column that is a view with a stride is written element by element."""
    reward = np.arange(6, dtype="<f8")[::-2]
    assert decode(
        encode(replace(make_batch(), columns=replace(make_columns(3), reward=reward)))
    ).columns.reward.tolist() == [
        5.0,
        3.0,
        1.0,
    ]


def test_seeds_and_ticks_may_be_absent() -> None:
    """No seed and no tick at all is an empty column; a single absent seed is NO_SEED."""
    batch = replace(make_batch(2), columns=replace(make_columns(2), tick=None, seed=None))
    assert decode(encode(batch)).columns.tick is None
    assert decode(encode(batch)).columns.seed is None
    seeds = np.array([7, NO_SEED], "<i8")
    found = decode(encode(replace(batch, columns=replace(batch.columns, seed=seeds)))).columns.seed
    assert found is not None
    assert found.tolist() == [7, -(2**63)]


def test_the_next_seq_follows_the_last_step() -> None:
    """A stream's next batch begins where this one ends."""
    assert make_batch(3).header.next_seq == 13


# --- liars in the process -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("change", ["short", "long", "dtype", "byte order", "shape"])
def test_a_column_that_does_not_fit_is_refused(name: str, change: str) -> None:
    """Each column: one short, one long, another dtype, big-endian, two-dimensional."""
    good = getattr(make_columns(3), name)
    wrong = {
        "short": good[:-1],
        "long": np.append(good, good[:1]),
        "dtype": good.astype("<i2"),
        "byte order": good.astype(good.dtype.newbyteorder(">")) if good.dtype.itemsize > 1 else good.astype("|i1"),
        "shape": good.reshape(3, 1),
    }[change]
    columns: dict[str, Any] = {name: wrong}
    with pytest.raises(InvalidValue, match=f"column {name}"):
        encode(replace(make_batch(), columns=replace(make_columns(3), **columns)))


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
        encode(replace(make_batch(), header=replace(make_batch().header, **header)))


@pytest.mark.parametrize(
    "change",
    [
        {"action": b""},
        {"action": make_batch().action + b"x"},
        {"action": make_batch().action[:-1]},
        {"observation": b""},
        {"info": ("{}",)},
        {"info": ("{}",) * 4},
        {"info": ("\ud800",) * 3},
        {"info": (1, 2, 3)},
        {"extras": (Extra("\ud800", np.zeros(1, "<u4"), np.zeros(1)),)},
        {"extras": (Extra("a", np.array([0, 3], "<u4"), np.zeros(2)),)},
        {"extras": (Extra("a", np.array([1, 0], "<u4"), np.zeros(2)),)},
        {"extras": (Extra("a", np.array([0, 1], "<u4"), np.zeros(1)),)},
        {"extras": (Extra("a", np.zeros((1, 1), "<u4"), np.zeros((1, 1))),)},
        {"extras": (Extra("a", np.array([-1, 0]), np.zeros(2)),)},
        {"extras": (Extra("a", np.zeros(1, "<u4"), np.zeros(1, "<f4")),)},
        {"extras": (Extra("a", np.zeros(1, "<u4"), np.zeros(1)),) * 2},
        {"columns": replace(make_columns(3), absent=np.array([0, 4, 1], "|u1"))},
        {"large_seeds": ("1", "2")},
        *(
            {"large_seeds": ("", seed, "")}
            for seed in ("1.0", " 1", "1\n", "+1", "x", "0X1", "0xG", "\u0661", "-", "0x")
        ),
        {"stop": ("a", "b")},
        {"stop": ("\ud800",) * 3},
        {"labels": (Label("\ud800", np.zeros(1, "<u4"), ("x",)),)},
        {"labels": (Label("a", np.zeros(1, "<u4"), ("\ud800",)),)},
        {"labels": (Label("a", np.array([0, 3], "<u4"), ("x", "y")),)},
        {"labels": (Label("a", np.array([1, 1], "<u4"), ("x", "y")),)},
        {"labels": (Label("a", np.array([1, 0], "<u4"), ("x", "y")),)},
        {"labels": (Label("a", np.array([0, 1], "<u4"), ("x",)),)},
        {"labels": (Label("a", np.zeros((1, 1), "<u4"), ("x",)),)},
        {"labels": (Label("a", np.zeros(1, "<i8"), ("x",)),)},
        {"labels": (Label("a", np.zeros(1, "<u4"), ("x",)),) * 2},
        {"columns": replace(make_columns(3), terminated=np.array([0, 2, 1], "|u1"))},
        {"columns": replace(make_columns(3), truncated=np.array([0, 255, 1], "|u1"))},
    ],
    ids=lambda c: str(c)[:40],
)
def test_parts_that_do_not_fit_are_refused(change: dict[str, Any]) -> None:
    """Values, info and extras that contradict the count, the layout or UTF-8 raise InvalidValue."""
    with pytest.raises(InvalidValue):
        encode(replace(make_batch(), **change))

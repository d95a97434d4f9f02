"""Answers as columns: what a browser reads is what ClickHouse said, value by value."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbus.dashboard.history.columns import pack
from runbus.dashboard.history.native import Table, empty, parse
from runbus.dashboard.history.pages import first, row
from runbus.dashboard.history.values import Column, Lists, Maps, Maybe, Numbers, Texts, Tuples, said

LARGE = st.integers(-(2**63), 2**63 - 1)
EXACT = st.integers(-(2**53), 2**53)
FLOATS = st.floats(allow_nan=True, allow_infinity=True)


def unpacked(data: bytes) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Read columns as the page does: typed arrays over the bytes, at multiples of their size."""
    size = int.from_bytes(data[:4], "little")
    header, start = json.loads(data[4 : 4 + size]), 4 + size
    assert start % 8 == 0
    return header, {column["name"]: _values(data, start, header["rows"], column) for column in header["columns"]}


def _values(data: bytes, start: int, rows: int, column: dict[str, Any]) -> list[Any]:
    kind, at = column["kind"], start + column["at"]
    assert at % 8 == 0
    if kind in ("f8", "i8", "u1"):
        return list(np.frombuffer(data, {"f8": "<f8", "i8": "<i8", "u1": "|u1"}[kind], rows, at).tolist())
    ends = np.frombuffer(data, "<u4", rows + 1, at).tolist()
    behind = start + column["data"]
    assert behind % 8 == 0
    if kind == "f8list":
        numbers = np.frombuffer(data, "<f8", column["values"], behind).tolist()
        return [numbers[ends[i] : ends[i + 1]] for i in range(rows)]
    parts = [data[behind + ends[i] : behind + ends[i + 1]] for i in range(rows)]
    return [part if kind == "bytes" else part.decode() for part in parts]


def numbers(values: list[Any], dtype: str) -> Numbers:
    """Return a column of numbers."""
    return Numbers(np.array(values, dtype))


@given(st.lists(FLOATS), st.data())
def test_numbers_and_texts_come_back(floats: list[float], data: st.DataObject) -> None:
    """Floats bit for bit, whole numbers exactly in one of two forms, booleans, texts, lists of numbers."""
    count = len(floats)
    whole = data.draw(st.lists(LARGE, min_size=count, max_size=count))
    texts = data.draw(st.lists(st.text(), min_size=count, max_size=count))
    lengths = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    columns: dict[str, Column] = {
        "floats": numbers(floats, "<f8"),
        "whole": numbers(whole, "<i8"),
        "flags": numbers([value > 0 for value in whole], "?"),
        "texts": Texts.of(texts),
        "raw": Texts.of([text.encode() for text in texts]),
        "lists": Lists(offsets, numbers(list(range(int(offsets[-1]))), "<f8")),
    }
    header, found = unpacked(pack(Table(columns, count), {"query": "q"}, frozenset(["raw"])))
    assert (header["rows"], header["query"]) == (count, "q")
    assert [struct.pack("<d", value) for value in found["floats"]] == [struct.pack("<d", value) for value in floats]
    assert found["whole"] == whole
    assert found["flags"] == [value > 0 for value in whole]
    assert found["texts"] == texts
    assert found["raw"] == [text.encode() for text in texts]
    assert found["lists"] == columns["lists"].plain()


@given(st.lists(EXACT))
def test_whole_numbers_that_fit_are_floats(whole: list[int]) -> None:
    """Up to 2^53 no BigInt is needed."""
    header, found = unpacked(pack(Table({"n": numbers(whole, "<i8")}, len(whole)), {}))
    assert header["columns"][0]["kind"] == "f8"
    assert found["n"] == whole


def test_what_is_not_there_is_nan_and_what_is_nested_is_json() -> None:
    """NULL of a number; maps, tuples and lists of texts as JSON, empty for none."""
    table = Table(
        {
            "maybe": Maybe(np.array([True, False]), numbers([5, 7], "<i8")),
            "map": Maps(np.array([0, 1, 1]), Texts.of(["a"]), numbers([math.inf], "<f8")),
            "tuple": Tuples((Texts.of(["x", "y"]), numbers([1, 2], "<i4")), 2),
            "word": Maybe(np.array([True, False]), Texts.of(["", "b"])),
        },
        2,
    )
    _, found = unpacked(pack(table, {}))
    assert math.isnan(found["maybe"][0])
    assert found["maybe"][1] == 7
    assert [json.loads(text) for text in found["map"]] == [{"a": None}, {}]
    assert [json.loads(text) for text in found["tuple"]] == [["x", 1], ["y", 2]]
    assert found["word"] == ["", '"b"']


def test_json_counts_what_it_cannot_say() -> None:
    """NaN and infinities are null and counted, in columns and in what is nested."""
    assert said(numbers([1.0, math.nan, -math.inf], "<f8")) == ([1.0, None, None], 2)
    assert said(Lists(np.array([0, 2]), numbers([math.inf, 2.0], "<f8"))) == ([[None, 2.0]], 1)
    assert said(Maps(np.array([0, 1]), Texts.of(["k"]), numbers([math.nan], "<f8"))) == ([{"k": None}], 1)


# A block as ClickHouse 26 wrote it, for SELECT 1.5 AS a, 5::Int64 AS b, 'x' AS s, true AS t, [1., 2.] AS v,
# toNullable(3::UInt8) AS n, (1::UInt8, 'a') AS p, map('k', 1.)::Map(String, Float64) AS m
BLOCK = (
    b"\x08\x01\x01a\x07Float64\x00\x00\x00\x00\x00\x00\xf8?\x01b\x05Int64\x05\x00\x00\x00\x00\x00\x00\x00"
    b"\x01s\x06String\x01x\x01t\x04Bool\x01\x01v\x0eArray(Float64)\x02\x00\x00\x00\x00\x00\x00\x00"
    b"\x00\x00\x00\x00\x00\x00\xf0?\x00\x00\x00\x00\x00\x00\x00@\x01n\x0fNullable(UInt8)\x00\x03"
    b"\x01p\x14Tuple(UInt8, String)\x01\x01a\x01m\x14Map(String, Float64)\x01\x00\x00\x00\x00\x00\x00\x00"
    b"\x01k\x00\x00\x00\x00\x00\x00\xf0?"
)
ROW = {"a": 1.5, "b": 5, "s": "x", "t": True, "v": [1.0, 2.0], "n": 3, "p": [1, "a"], "m": {"k": 1.0}}


@pytest.mark.parametrize("blocks", [1, 3])
def test_blocks_of_clickhouse_are_read(blocks: int) -> None:
    """Every kind of column, and several blocks as one table."""
    table = parse(BLOCK * blocks)
    assert table.rows == blocks
    assert [row(table, number) for number in range(blocks)] == [ROW] * blocks


def test_a_table_is_cut_and_may_be_empty() -> None:
    """The first rows of it; without rows its columns are known by their types."""
    assert [row(first(parse(BLOCK * 3), 2), number) for number in range(2)] == [ROW] * 2
    assert first(parse(BLOCK * 3), 2).rows == 2
    none = empty({"a": "Float64", "v": "Array(String)", "m": "Map(String, Float64)", "n": "Nullable(Int64)"})
    assert {name: column.plain() for name, column in none.columns.items()} == {name: [] for name in "avmn"}
    _, found = unpacked(pack(none, {}))
    assert found == {name: [] for name in "avmn"}


def test_a_type_that_no_question_may_have_is_named() -> None:
    """A query that forgot a cast fails in its first test, not with wrong values."""
    with pytest.raises(ValueError, match=r"LowCardinality\(String\)"):
        parse(b"\x01\x01\x01a\x16LowCardinality(String)")

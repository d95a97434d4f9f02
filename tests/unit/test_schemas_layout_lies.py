"""A layout or a column that contradicts itself is refused, whatever bytes arrive."""

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.config.errors import InvalidValue
from runbus.schemas import tree
from runbus.schemas.layout import (
    Layout,
    check_layout,
    decode_value,
    unpack,
)
from runbus.schemas.leaf import MAX_DIMENSIONS
from tests.fuzz.batches import DTYPES, SHAPES

quick = settings(max_examples=60, deadline=None, derandomize=True)


@pytest.mark.parametrize("column", [b"", b"\x01", b"\x01\0\0\0", b"\x01\0\0\0a\0", b"\xff" * 8, bytes(9)])
def test_unpack_refuses_lengths_that_lie(column: bytes) -> None:
    """A variable column whose lengths do not add up to its bytes is refused, without allocating what they claim."""
    with pytest.raises(InvalidValue):
        unpack(Layout("text", (), -1), column, 2)


STRUCT_LIARS = [
    "",
    "{}",
    "[]",
    "null",
    '"text"',
    '["<f4",[2]]',
    '["<f4",[-1]]',
    '["dict",{"a":1}]',
    '["dict",[["a"]]]',
    '["dict",[[1,["<f4",[]]]]]',
    '["dict",[["a",["<f4",[]]],["a",["<f4",[]]]]]',
    '["tuple",[["<f4",[-2]],["<f4",[2]]]]',
    '["tuple",[["<f4",[1.5]]]]',
    '["tuple",[["<f4",[true]]]]',
    '["tuple",[["<f4",["a"]]]]',
    '["tuple",[["<f4"]]]',
    '["tuple",[["<c8",[]]]]',
    '["tuple",[[["<f4"],[]]]]',
    '["tuple",[["text",[2]]]]',
    '["tuple",[["omitted:",[]]]]',
    '["tuple",[["omitted:what",[]]]]',
    '["tuple",[["omitted:omitted:<f4",[]]]]',
    '["tuple",[["omitted:text",[2]]]]',
    '["tuple",[["omitted:<f4",[-2]]]]',
    '["tuple",[5]]',
    '["tuple",5]',
    '["list",[]]',
    '["tuple",[["<f8",[2147483647]]]]',
    "[" * 5000,
    '["tuple",[' * 200 + "]]" * 200,
    '["tuple",[' + ",".join(['["<f4",[]]'] * 10_000) + "]]",
]


@pytest.mark.parametrize("text", STRUCT_LIARS, ids=lambda t: t[:40])
def test_a_struct_text_that_is_none_is_refused(text: str) -> None:
    """Any text behind `struct:` in a record is a layout or InvalidValue."""
    for width in (-1, 0, 4, 8):
        with pytest.raises(InvalidValue):
            check_layout(Layout("struct:" + text, (), width))


LAYOUT_LIARS = [
    Layout("<f4", (2,), 4),
    Layout("<f4", (-2, -2), 16),
    Layout("<f4", (2**31, 0), 0),
    Layout("|u1", (2**31,), 2**31),
    Layout("<f8", (2**16, 2**16), 2**35),
    Layout("|u1", (1,) * (MAX_DIMENSIONS + 1), 1),
    Layout("|u1", (2**31 - 1,) * 200_000, 1),
    Layout(">f4", (), 4),
    Layout("<c8", (), 8),
    Layout("text", (), 0),
    Layout("text", (3,), -1),
    Layout("json", (), 5),
    Layout("", (), -1),
    Layout("", (2,), 0),
    Layout("", (), 1),
    Layout("omitted:", (), 0),
    Layout("omitted:what", (), 0),
    Layout("omitted:omitted:<f4", (), 0),
    Layout("omitted:<f4", (-2,), 0),
    Layout("<f4", (-1,), 4),
    Layout("<f4", (2, -1), -1),
    Layout("<f4", (-1, -1), -1),
    Layout("<f4", (-1, 0), -1),
    Layout("text", (-1,), -1),
    Layout("absent:<f4", (), 0),
    Layout("omitted:<f4", (), 4),
    Layout("omitted:struct:{}", (), 0),
    Layout('struct:["tuple",[["<f4",[]]]]', (1,), 4),
    Layout("Struct:", (), 0),
    Layout("\x00", (), 0),
]


@pytest.mark.parametrize("layout", LAYOUT_LIARS, ids=lambda v: f"{v.dtype[:20]}{v.shape[:3]}{v.width}")
def test_a_layout_that_contradicts_itself_is_refused(layout: Layout) -> None:
    """Negative, overflowing, over-dimensioned or unknown layouts raise InvalidValue, at once."""
    with pytest.raises(InvalidValue):
        check_layout(layout)


@pytest.mark.parametrize(
    ("layout", "raw"),
    [
        (Layout("<f4", (2,), 8), bytes(7)),
        (Layout("<f4", (2,), 8), bytes(9)),
        (Layout("text", (), -1), b"\xff"),
        (Layout("json", (), -1), b"{"),
        (Layout("json", (), -1), b"[" * 100_000),
        (Layout("json", (), -1), b"9" * 5000),
        (Layout('struct:["tuple",[["text",[]]]]', (), -1), b"\x01\0\0\0"),
        (Layout('struct:["tuple",[["text",[]]]]', (), -1), b"\x01\0\0"),
        (Layout('struct:["tuple",[["text",[]]]]', (), -1), b"\0\0\0\0a"),
        (Layout('struct:["tuple",[["text",[]]]]', (), -1), b"\xff\xff\xff\xff"),
        (Layout('struct:["tuple",[["json",[]]]]', (), -1), b"\x01\0\0\0{"),
        (Layout('struct:["tuple",[["<f8",[2]]]]', (), 16), bytes(15)),
        (Layout('struct:["tuple",[["<f8",[2]]]]', (), 16), bytes(17)),
        (Layout("<f8", (0, *[2**31 - 1] * 3), 0), b""),
        (Layout('struct:["tuple",[["<f8",[0,2147483647,2147483647,2147483647]]]]', (), 0), b""),
    ],
    ids=lambda v: re.sub(r"\s+", "", str(v))[:30],
)
def test_bytes_that_are_not_of_the_layout_are_refused(layout: Layout, raw: bytes) -> None:
    """One byte short or long, a length past the end, broken UTF-8 or JSON, no value of an impossible size."""
    with pytest.raises(InvalidValue):
        decode_value(layout, raw)


@given(st.sampled_from(DTYPES), st.sampled_from(SHAPES), st.sampled_from([-2, -1, 0, 4, 8, 16]), st.binary(max_size=40))
@quick
def test_any_layout_has_values_or_is_refused(dtype: str, shape: list[int], width: int, raw: bytes) -> None:
    """Of a layout that passes, any bytes are a value or a column of its width, or InvalidValue."""
    layout = Layout(dtype, tuple(shape), width)
    try:
        check_layout(layout)
    except InvalidValue:
        return
    with contextlib.suppress(InvalidValue):
        decode_value(layout, raw)
    for count in (1, 2, 5):
        with contextlib.suppress(InvalidValue):
            assert len(unpack(layout, raw, count)) == count


@given(st.text(alphabet='[]"{},:0123456789.-<f48tuplexdicsno\\ ', max_size=60))
@quick
def test_any_text_is_a_struct_or_is_refused(text: str) -> None:
    """What stands behind `struct:` may be anything; where it is a struct its width is -1 or what its leaves have."""
    for candidate in (text, f'["tuple",[{text}]]', f'["dict",[["a",{text}]]]'):
        with contextlib.suppress(InvalidValue):
            assert tree.parse(candidate).width >= -1

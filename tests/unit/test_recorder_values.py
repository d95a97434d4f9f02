"""Copying values: every packer gives the bytes that the layout module would."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.config.errors import InvalidValue
from runbus.recorder.structure import structure_of_space
from runbus.recorder.values import Capture, as_is, chooser, number
from runbus.schemas.layout import check_layout, decode_value, encode_value, layout_of
from runbus.schemas.strict_json import number_name

leaves = st.one_of(
    st.integers(-(2**70), 2**64 - 1),
    st.floats(),
    st.booleans(),
    st.text(max_size=5),
    st.sampled_from(
        [
            np.float32(1.5),
            np.int64(-3),
            np.bool_(True),
            np.zeros((2, 2), np.uint8),
            np.arange(6, dtype=">i4"),
            np.arange(6.0).reshape(2, 3).T,
            np.array(7.0),
            np.zeros(0),
        ]
    ),
)
values = st.recursive(
    leaves, lambda inner: st.one_of(st.dictionaries(st.text(max_size=3), inner, max_size=3), st.tuples(inner, inner))
)


def same(found: Any, value: Any) -> bool:
    """Whether two values have the same parts and the same numbers, whatever the dtype; NaN is NaN."""
    if isinstance(value, dict):
        return isinstance(found, dict) and all(same(found[str(key)], part) for key, part in value.items())
    if isinstance(value, tuple):
        return len(found) == len(value) and all(map(same, found, value))
    if isinstance(value, str) or isinstance(found, str):
        name = number_name(value) if isinstance(value, float) else value
        return bool(str(found) == str(name))  # what JSON has no word for is text in it
    numbers = object if isinstance(value, (tuple, list)) else None  # numpy makes floats of 0 and 2**63 + 1
    left, right = np.asarray(found), np.asarray(value, numbers)
    pairs = zip(left.ravel().tolist(), right.ravel().tolist(), strict=True)
    return left.shape == right.shape and all(x == y or (np.isnan(x) and np.isnan(y)) for x, y in pairs)


def kept(capture: Capture, value: Any) -> Any:
    """Return what is stored of a value, decoded."""
    raw = capture.pack(value)
    if raw is None:
        raw = capture.learn(value)
    assert capture.flaw == ""
    return decode_value(capture.layout, raw)


@settings(max_examples=300, deadline=None)
@given(st.lists(values, min_size=1, max_size=6))
def test_what_is_kept_is_the_same_numbers(sequence: list[Any]) -> None:
    """Whatever comes after whatever, the bytes are those of the layout, and say the value that was given."""
    capture = Capture(as_is)
    for value in [*sequence, *sequence]:
        try:
            encode_value(layout_of(value), value)
        except (InvalidValue, ValueError, TypeError, OverflowError):
            continue
        assert same(kept(capture, value), value)


numbers = st.one_of(
    st.integers(-(2**53), 2**53),
    st.floats(),
    st.booleans(),
    st.sampled_from([np.float32(0.1), np.float16(0.5), np.int64(7), np.int8(-1), np.uint16(9), np.bool_(True)]),
    st.floats(width=32).map(np.float32),
    st.integers(-128, 127).map(np.int8),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=20))
def test_numbers_of_any_type_share_a_layout(sequence: list[Any]) -> None:
    """The dtype only widens: once it holds all of them it stays, and every number is exactly the one that was given."""
    capture = Capture(as_is)
    for value in sequence:
        assert same(kept(capture, value), value)
    layout, seen = capture.layout, set()
    for value in sequence:
        assert same(kept(capture, value), value)
        seen.add(capture.layout)
    assert seen == {layout}
    assert capture.news == ""


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["<f2", "<f4", "<f8", "|b1", "|i1", "<u2", ">i4", "<i8"]), min_size=2, max_size=6),
    st.data(),
)
def test_arrays_of_any_dtype_share_a_layout(dtypes: list[str], data: st.DataObject) -> None:
    """The same with arrays, inside of a dict too, with lists among them."""
    capture = Capture(as_is)
    small = st.lists(st.integers(0, 100), min_size=2, max_size=2)
    sequence: list[Any] = [np.array(data.draw(small)).astype(dtype) for dtype in dtypes]
    sequence += [[1, 0.5], [1, 2]]
    for value in sequence * 2:
        assert same(kept(capture, {"a": value, "n": np.zeros(1)})["a"], value)
    seen = set()
    for value in sequence:
        kept(capture, {"a": value, "n": np.zeros(1)})
        seen.add(capture.layout)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("sequence", "dtypes"),
    [
        ([1, 0.5, 2], ["<i8", "<f8", "<f8"]),
        ([np.float32(0.5), 0.1, np.float32(0.1)], ["<f4", "<f8", "<f8"]),
        ([np.int8(1), 5, 300, np.int8(2)], ["|i1", "|i1", "<i8", "<i8"]),
        ([True, 2], ["|b1", "<i8"]),
        ([np.uint8(255), np.int8(-1)], ["|u1", "<i2"]),
        ([2**60 + 1, 0.5, 2**60 + 1], ["<i8", "<f8", "<i8"]),
        ([np.uint64(2**64 - 1), -1], ["<u8", "<i8"]),
        ([0.5, 1, 2**53 + 1], ["<f8", "<f8", "<i8"]),
        ([np.array([0x7F800001], "<u4").view("<f4")[0], np.float64(0.1)], ["<f4", "<f8"]),
        (["go", {"tool": "x"}, "stop", 3], ["text", "json", "json", "json"]),
    ],
    ids=str,
)
def test_a_dtype_widens_only_without_loss(sequence: list[Any], dtypes: list[str]) -> None:
    """A dtype that would change one number is not taken: that value keeps its own."""
    capture, found = Capture(as_is), []
    for value in sequence:
        assert same(kept(capture, value), value)
        found.append(capture.layout.dtype)
    assert found == dtypes


def test_a_column_that_cannot_keep_its_layout_says_so_once() -> None:
    """Dimensions by turns, and numbers that no dtype holds together, end a batch each time; widening does not."""
    for sequence in ([np.zeros(2), np.zeros((1, 2))], [2**60 + 1, 0.5], [np.zeros(1), "text"], [0.5, None]):
        capture = Capture(as_is)
        for value in sequence * 5:
            kept(capture, value)
        assert "each change ends a batch" in capture.news
    capture = Capture(as_is)
    for value in (None, True, 1, 0.5, None, 0.25, 1):
        kept(capture, value)
    assert capture.news == ""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.zeros(2), np.zeros(3)),
        (np.zeros(2, np.float32), np.full(2, 0.1)),
        (1, 1.0),
        (1, 2**63),
        ("a", b"a"),
        ({"a": np.zeros(1)}, {"b": np.zeros(1)}),
        ({"a": np.zeros(1)}, {"a": np.zeros(2)}),
        ((np.zeros(1),), (np.zeros(1), np.zeros(1))),
        (None, 0),
    ],
)
def test_another_layout_is_noticed(first: Any, second: Any) -> None:
    """A packer says None for a value of another layout instead of writing wrong bytes."""
    capture = Capture(as_is)
    capture.learn(first)
    before = capture.layout
    assert capture.pack(second) is None
    capture.learn(second)
    assert capture.layout != before


def test_equal_layouts_keep_their_identity() -> None:
    """The stream compares layouts by identity: learning the same layout anew must not split a batch."""
    capture = Capture(as_is)
    capture.learn(3)
    layout = capture.layout
    assert capture.pack(np.int64(3)) is None
    assert capture.learn(np.int64(3)) == (3).to_bytes(8, "little")
    assert capture.layout is layout


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 1.0), (np.float32(0.5), 0.5), (np.array([2]), 2.0), (np.array(3), 3.0), (True, 1.0), (10**18, 1e18)],
)
def test_rewards_of_any_numeric_kind_are_numbers(value: Any, expected: float) -> None:
    """Environments return ints, numpy scalars and arrays of one element."""
    assert number(value) == expected


@pytest.mark.parametrize("value", ["1", b"1", None, np.zeros(2), [1.0], 10**400])
def test_what_is_no_number_is_refused(value: Any) -> None:
    """Text is not parsed, and several numbers are not one."""
    with pytest.raises((TypeError, ValueError, OverflowError)):
        number(value)


IMAGE, TEXT_PART = np.zeros((84, 84, 3), np.uint8), "x" * 5000


@pytest.mark.parametrize(
    ("value", "left_out"),
    [
        ({"image": IMAGE, "said": TEXT_PART}, ["image"]),
        ({"image": IMAGE, "n": np.zeros(4), "deep": {"x": np.zeros(200)}}, ["image", "x"]),
        ({"a": np.zeros(100), "b": np.zeros(64), "c": np.zeros(10, np.float32)}, ["a"]),
        ({f"p{i}": np.zeros(100) for i in range(4)}, ["p0", "p1", "p2"]),
        ({"a": np.zeros(64), "b": np.zeros(64)}, []),
        ({"said": TEXT_PART, "n": 1.5, "small": np.zeros(1)}, []),
    ],
    ids=["image and text", "nested", "largest", "equal", "exactly 1 KiB", "text"],
)
def test_auto_judges_each_part(value: dict[str, Any], left_out: list[str]) -> None:
    """Images and large numbers are left out, the largest first until 1 KiB remains; text and the rest stay."""
    capture = Capture(chooser("auto"))
    raw = capture.learn(value)
    assert capture.pack(value) == raw
    layout = capture.layout
    check_layout(layout)
    omitted = [key for key in _keys(value) if f'["{key}",["omitted:' in layout.dtype]
    assert omitted == left_out
    found = decode_value(layout, raw)
    for key, part in value.items():
        if key in left_out:
            assert found[key] is None
        elif not isinstance(part, dict):
            assert same(found[key], part)
    assert capture.flaw == ""  # a choice is no fault


def _keys(value: dict[str, Any]) -> list[str]:
    return [k for key, part in value.items() for k in ([key, *_keys(part)] if isinstance(part, dict) else [key])]


def test_auto_omits_a_value_whose_parts_are_all_large() -> None:
    """It is one omitted value, as an image alone is; images in vector calls are left out of their dicts too."""
    capture = Capture(chooser("auto"))
    assert capture.learn({"a": IMAGE, "b": (IMAGE,)}) == b""
    assert capture.layout.dtype.startswith('omitted:struct:["dict",')
    assert capture.layout.dtype.count("|u1") == 2


# --- what a space says --------------------------------------------------------------------------------------------

SPACE_BOX = structure_of_space('{"type": "Box", "shape": [2], "dtype": "float32"}')


@pytest.mark.parametrize(
    ("description", "value", "dtype"),
    [
        ('{"type": "Box", "shape": [2], "dtype": "float32"}', [0.5, 1], "<f4"),
        ('{"type": "Box", "shape": [2], "dtype": "float32"}', (1, 2), "<f4"),
        ('{"type": "Box", "shape": [2], "dtype": "float32"}', [0.1, 1], "<f8"),
        ('{"type": "Box", "shape": [2, 1], "dtype": "uint8"}', [[1], [2]], "|u1"),
        ('{"type": "Discrete", "shape": [], "dtype": "int64", "n": 5}', np.int32(3), "<i8"),
        ('{"type": "Discrete", "shape": [], "dtype": "int64", "n": 5}', True, "<i8"),
        ('{"type": "MultiBinary", "shape": [2], "dtype": "int8"}', [True, False], "|i1"),
        ('{"type": "Text", "dtype": "str"}', "go", "text"),
        ('{"type": "Tuple", "spaces": [{"type": "Discrete", "shape": [], "dtype": "int64"}]}', (3,), None),
        ('{"type": "Sequence", "text": "..."}', [1, 2], "<i8"),
        ("no JSON", [1, 2], "<i8"),
        ('{"type": "Box", "shape": "x", "dtype": 5}', [1, 2], "<i8"),
        ("[" * 100_000, 1, "<i8"),
    ],
)
def test_a_space_says_what_a_value_is(description: str, value: Any, dtype: str | None) -> None:
    """Its dtype and shape, where they hold each number; a tuple of a Tuple stays one. Any other text says nothing."""
    capture = Capture(as_is, structure_of_space(description))
    assert same(decode_value(capture.layout, b"") if value is None else kept(capture, value), value)
    assert capture.layout.dtype == (dtype or 'struct:["tuple",[["<i8",[]]]]')
    assert capture.news == ""


def test_a_value_that_is_not_as_its_space_says_is_recorded_as_it_is() -> None:
    """That is said once; the space goes on to decide about the values that are."""
    capture = Capture(as_is, SPACE_BOX)
    for value, dtype in (([1, 2], "<f4"), ("text", "text"), (np.zeros((2, 1)), "<f8"), ([3, 4], "<f4")):
        assert same(kept(capture, value), value)
        assert capture.layout.dtype == dtype
    assert "not as its space says" in capture.news

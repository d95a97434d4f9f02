"""Copying values: every packer gives the bytes that the layout module would."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.config.errors import InvalidValue
from runbus.recorder.values import Capture, as_is, number, plain_number
from runbus.schemas.layout import decode_value, encode_value, layout_of

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


@settings(max_examples=300, deadline=None)
@given(st.lists(values, min_size=1, max_size=6))
def test_a_capture_agrees_with_the_layout_module(sequence: list[Any]) -> None:
    """Whatever comes after whatever, layout and bytes are those of the slow path, or both refuse."""
    capture = Capture(as_is)
    for value in [*sequence, *sequence]:
        try:
            layout = layout_of(value)
            expected = encode_value(layout, value)
        except (InvalidValue, ValueError, TypeError, OverflowError):
            continue
        raw = capture.pack(value)
        if raw is None:
            raw = capture.learn(value)
        assert capture.layout == layout
        assert raw == expected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.zeros(2), np.zeros(3)),
        (np.zeros(2), np.zeros(2, np.float32)),
        (1, 1.0),
        (1, True),
        (1, 2**63),
        (np.int64(1), np.int32(1)),
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


def test_what_offers_an_array_is_recorded_as_one() -> None:
    """A tensor of another library is stored as the array that it hands out."""

    class Tensor:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return np.arange(3, dtype=np.float32)

    capture = Capture(as_is)
    raw = capture.learn(Tensor())
    assert decode_value(capture.layout, raw).tolist() == [0, 1, 2]
    assert capture.pack(Tensor()) == raw


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


def test_numbers_json_has_no_word_for() -> None:
    """They become their names instead of invalid JSON."""
    assert [plain_number(v) for v in (1.5, float("nan"), float("inf"), -float("inf"))] == [
        1.5,
        "NaN",
        "Infinity",
        "-Infinity",
    ]

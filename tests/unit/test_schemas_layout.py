"""Every value an agent can hand over becomes bytes and comes back the same, bit for bit."""

import math
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from runbus.config.errors import InvalidValue
from runbus.schemas.layout import (
    NONE,
    NUMERIC_DTYPES,
    Layout,
    Omitted,
    check_layout,
    decode_value,
    encode_value,
    layout_of,
    pack,
    unpack,
)
from runbus.schemas.leaf import leaf_width
from runbus.schemas.tree import MAX_DEPTH, MAX_TEXT

quick = settings(max_examples=60, deadline=None, derandomize=True)
BIG_ENDIAN = [name.replace("<", ">") for name in sorted(NUMERIC_DTYPES) if name.startswith("<")]


def _there_and_back(value: object) -> Any:
    layout = layout_of(value)
    check_layout(layout)
    column = pack(layout, [encode_value(layout, value), encode_value(layout, value)])
    first, second = unpack(layout, column, 2)
    assert first == second
    return decode_value(layout, first)


def _bits(value: object) -> bytes:
    array = np.asarray(value)
    raw: bytes = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return raw


def assert_same(found: Any, value: Any) -> None:
    """Compare as the wire means it: same dtype (little-endian), shape and bits; tuples for lists in a struct."""
    if isinstance(value, Mapping):
        assert list(found) == [str(key) for key in value]
        for key, part in value.items():
            assert_same(found[str(key)], part)
    elif isinstance(value, (tuple, list)):
        assert isinstance(found, tuple)
        for left, right in zip(found, value, strict=True):
            assert_same(left, right)
    elif isinstance(value, str) or value is None:
        assert found == value
    else:
        expected = np.asarray(value)
        assert found.dtype == expected.dtype.newbyteorder("<")
        assert found.shape == expected.shape
        assert _bits(found) == _bits(expected)


shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
arrays = st.sampled_from([*sorted(NUMERIC_DTYPES), *BIG_ENDIAN]).flatmap(lambda d: hnp.arrays(np.dtype(d), shapes))


@pytest.mark.parametrize("dtype", sorted(NUMERIC_DTYPES))
def test_every_dtype_keeps_its_extremes(dtype: str) -> None:
    """The smallest and largest value of every dtype, and the special floats, come back bit for bit."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        info = np.finfo(kind)
        value = np.array([info.min, info.max, info.smallest_subnormal, -0.0, np.inf, -np.inf, np.nan], kind)
    elif kind.kind == "b":
        value = np.array([False, True])
    else:
        value = np.array([np.iinfo(kind).min, np.iinfo(kind).max], kind)
    assert_same(_there_and_back(value), value)
    assert layout_of(value) == Layout(dtype, value.shape, value.nbytes)


@given(arrays)
@quick
def test_arrays_of_any_dtype_shape_and_byte_order_come_back(value: np.ndarray[Any, Any]) -> None:
    """Scalars, n-d and 0-size arrays of both byte orders keep dtype, shape and every bit."""
    assert_same(_there_and_back(value), value)


@pytest.mark.parametrize("bits_of_nan", [0x7FF0000000000001, 0x7FF8DEADBEEF0001, 0xFFF8000000000000])
def test_nan_payloads_survive(bits_of_nan: int) -> None:
    """Signalling and quiet NaNs keep their payload, also from a big-endian array."""
    value = np.array([bits_of_nan], "<u8").view("<f8")
    assert _there_and_back(value).view("<u8")[0] == bits_of_nan
    assert _there_and_back(np.array([bits_of_nan], ">u8").view(">f8")).view("<u8")[0] == bits_of_nan


def test_non_contiguous_arrays_are_stored_in_c_order() -> None:
    """A view with strides, a transposed and a Fortran array are stored as what they look like."""
    base = np.arange(24, dtype="<f4").reshape(4, 6)
    for view in (base[::2, ::-3], base.T, np.asfortranarray(base)):
        assert _there_and_back(view).tolist() == view.tolist()


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (True, "|b1"),
        (0, "<i8"),
        (-(2**63), "<i8"),
        (2**63, "<u8"),
        (2**64 - 1, "<u8"),
        (0.1, "<f8"),
        (math.inf, "<f8"),
        (np.int64(5), "<i8"),
        (np.uint64(2**64 - 1), "<u8"),
        (np.float16(0.1), "<f2"),
        (np.bool_(True), "|b1"),
        ([1, 2, 3], "<i8"),
        ([0.5, -0.0], "<f8"),
        ([0, 0.5], "<f8"),
        ([1, True], "<i8"),
        ([[1, 2], [3, 4]], "<i8"),
        ([(1.5, 2), (3, 4)], "<f8"),
        ([2**63, 0], "<u8"),
        ([2**53, 0.5], "<f8"),
        ([math.nan, 1], "<f8"),
        ((True, False), "|b1"),
        (b"\x00\xff", "|u1"),
        (bytearray(b"ab"), "|u1"),
    ],
)
def test_python_and_numpy_numbers_keep_their_type(value: object, dtype: str) -> None:
    """Plain numbers, numpy scalars, lists of numbers and bytes are numeric columns of the dtype that holds each."""
    assert layout_of(value).dtype == dtype
    raw = list(value) if isinstance(value, (bytes, bytearray)) else value
    assert np.array_equal(_there_and_back(value), np.asarray(raw, dtype), equal_nan=dtype == "<f8")


@pytest.mark.parametrize(
    "value",
    [
        {"tool": "search", "args": {"q": "größer", "n": 3}},
        [],
        [[], []],
        {},
        [[1, 2], [3]],
        [1, None],
        [1, "2"],
        [2**53 + 1, 0.5],
        [2**63, -1],
        {"deep": [None, True, {"x": "\x00"}]},
    ],
)
def test_json_data_comes_back(value: object) -> None:
    """Plain data without arrays is JSON, also numbers that no one dtype holds."""
    assert layout_of(value) == Layout("json", (), -1)
    assert _there_and_back(value) == value


@given(st.recursive(st.integers(-(2**66), 2**66) | st.floats() | st.booleans(), lambda v: st.lists(v, max_size=4)))
@quick
def test_numbers_in_lists_are_the_same_numbers(value: object) -> None:
    """Whether a list becomes an array or JSON, each number equals the one that was given."""
    found = _there_and_back(value)
    _assert_equal_numbers(found, value)


def _assert_equal_numbers(found: Any, value: Any) -> None:
    if isinstance(value, list):
        assert len(found) == len(value)
        for left, right in zip(found, value, strict=True):
            _assert_equal_numbers(left, right)
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        assert found == str(value)  # what JSON says of it
    elif isinstance(value, float) and math.isnan(value):
        assert found == "NaN" or math.isnan(found)
    elif isinstance(value, float) and math.isinf(value):
        assert float(found) == value
    else:
        assert (found.item() if isinstance(found, (np.ndarray, np.generic)) else found) == value


@given(st.text(st.characters(), max_size=30))
@quick
def test_any_text_comes_back(text: str) -> None:
    """Text of any script comes back; half a surrogate pair, which UTF-8 cannot say, as its escape."""
    said = text.encode("utf-8", "backslashreplace").decode()
    assert _there_and_back(text) == said
    assert _there_and_back({"said": text}) == {"said": said}
    assert _there_and_back({"said": text, "array": np.zeros(1)})["said"] == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""),
        ("\x00", "\x00"),
        ("\ud800", r"\ud800"),
        ("a\udfffb", r"a\udfffb"),
        ("😀", "😀"),
        ("é" * 100, "é" * 100),
    ],
)
def test_odd_texts_come_back(text: str, said: str) -> None:
    """The texts that break things elsewhere are values like others."""
    assert _there_and_back(text) == said


SPACES = gymnasium.spaces
SPACE_EXAMPLES: list[gymnasium.Space[Any]] = [
    SPACES.Discrete(5, start=-2),
    SPACES.MultiDiscrete([3, 5, 2]),
    SPACES.MultiDiscrete(np.array([[2, 3], [4, 5]])),
    SPACES.MultiBinary([2, 3]),
    SPACES.Box(-1, 1, (3, 2), np.float32),
    SPACES.Box(-np.inf, np.inf, (), np.float64),
    SPACES.Box(0, 255, (4, 4, 3), np.uint8),
    SPACES.Box(-5, 5, (2,), np.int16),
    SPACES.Text(12),
    SPACES.Dict({"position": SPACES.Box(-1, 1, (2,)), "inventory": SPACES.Dict({"gold": SPACES.Discrete(9)})}),
    SPACES.Tuple((SPACES.Discrete(3), SPACES.Text(8), SPACES.Dict({"x": SPACES.Box(0, 1, (0,))}))),
    SPACES.OneOf((SPACES.Discrete(3), SPACES.Box(0, 1, (2,)))),
    SPACES.Sequence(SPACES.Discrete(4), seed=1),
    SPACES.Sequence(SPACES.Box(0, 1, (2,)), seed=1, stack=True),
    SPACES.Graph(SPACES.Box(0, 1, (3,)), SPACES.Discrete(4), seed=2),
]


@pytest.mark.parametrize("space", SPACE_EXAMPLES, ids=lambda s: type(s).__name__)
def test_samples_of_every_gymnasium_space_come_back(space: gymnasium.Space[Any]) -> None:
    """What real Gymnasium spaces sample is stored exactly, with the structure they have."""
    space.seed(7)
    for _ in range(20):
        sample = space.sample()
        found = _there_and_back(sample)
        if isinstance(sample, tuple) and not sample:
            assert found == []
        else:
            assert_same(found, sample)


def test_discrete_samples_share_a_layout() -> None:
    """Values of a space with a fixed shape have one layout, so they share a batch."""
    for space in SPACE_EXAMPLES[:11]:
        assert len({layout_of(space.sample()) for _ in range(10)}) == 1


def test_keys_of_a_struct_become_text() -> None:
    """Integer keys (agents by number) are stored as text; two keys with the same text are refused."""
    assert_same(_there_and_back({0: np.zeros(2), 1: np.ones(1)}), {"0": np.zeros(2), "1": np.ones(1)})
    with pytest.raises(InvalidValue, match="same text"):
        layout_of({0: np.zeros(1), "0": np.zeros(1)})


def test_a_struct_takes_its_parts_in_any_order() -> None:
    """A dict of the same keys in another order is stored in the layout's order."""
    layout = layout_of({"a": np.int64(1), "b": np.int64(2)})
    assert decode_value(layout, encode_value(layout, {"b": np.int64(2), "a": np.int64(1)}))["b"] == 2


def _nested(levels: int, leaf: object) -> object:
    for _ in range(levels):
        leaf = [leaf]
    return leaf


def _itself(**parts: object) -> dict[str, object]:
    parts["me"] = parts
    return parts


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(2, complex),
        np.longdouble(1),
        np.array(["a"]),
        np.array([object()]),
        np.datetime64("2026-01-01"),
        np.zeros(1, [("a", "<i4")]),
        np.bytes_(b"x"),
        {"part": np.zeros(1, complex)},
        _nested(MAX_DEPTH + 5, np.int64(1)),
        _nested(5000, 1),
        _itself(),
        _itself(array=np.zeros(1)),
        {f"key {n}": np.int64(n) for n in range(MAX_TEXT // 20)},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_no_layout_holds_is_refused(value: object) -> None:
    """Complex numbers, dates, objects, endless and giant structures raise InvalidValue and nothing else."""
    with pytest.raises(InvalidValue):
        layout_of(value)


@pytest.mark.parametrize(
    "value", [object(), {"a": object()}, {"f": print}, [1, {"x": 1j}]], ids=lambda v: type(v).__name__
)
def test_what_is_not_json_is_refused(value: object) -> None:
    """An object that JSON cannot say is refused when it is encoded."""
    with pytest.raises(InvalidValue):
        encode_value(layout_of(value), value)


@pytest.mark.parametrize(
    ("layout_from", "value"),
    [
        (np.zeros(3, np.float32), np.zeros(3)),
        (np.zeros(3), np.zeros(3, np.float32)),
        (np.zeros(3), np.zeros(4)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros(3), np.zeros((3, 1))),
        (np.int64(1), 1.5),
        (np.int32(1), 1),
        (1, "1"),
        ("text", 1),
        (np.zeros(1), None),
        ({"a": np.zeros(1)}, {"b": np.zeros(1)}),
        ({"a": np.zeros(1)}, {"a": np.zeros(1), "b": np.zeros(1)}),
        ({"a": np.zeros(1), "b": np.zeros(1)}, {"a": np.zeros(1)}),
        ({"a": np.zeros(1)}, (np.zeros(1),)),
        ({"a": np.zeros(1)}, np.zeros(1)),
        ((np.zeros(1), np.zeros(1)), (np.zeros(1),)),
        ((np.zeros(1), None), (np.zeros(1), 1)),
    ],
)
def test_a_value_of_another_layout_is_refused(layout_from: object, value: object) -> None:
    """Nothing is cast, reshaped, padded or left out to fit a layout: it would not come back."""
    with pytest.raises(InvalidValue):
        encode_value(layout_of(layout_from), value)


def test_a_decoded_array_is_read_only() -> None:
    """The array is a view of the record: writing into it is refused instead of changing a neighbour."""
    found = _there_and_back(np.zeros(3))
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1


def test_a_part_can_be_omitted() -> None:
    """The other parts are where they would be without it; it takes no bytes and says what it was."""
    image = Omitted("|u1", (84, 84, 3))
    for rest in (np.arange(3, dtype=np.int16), "text"):
        layout = layout_of({"image": image, "rest": rest, "both": (image, np.float32(2))})
        assert layout.dtype.startswith('struct:["dict",[["image",["omitted:|u1",[84,84,3]]],')
        check_layout(layout)
        raw = encode_value(layout, {"image": image, "rest": rest, "both": (image, np.float32(2))})
        assert raw == encode_value(
            layout_of({"rest": rest, "both": np.float32(2)}), {"rest": rest, "both": np.float32(2)}
        )
        found = decode_value(layout, raw)
        assert (found["image"], found["both"][0]) == (None, None)
        assert_same(found["rest"], rest)
        assert_same(found["both"][1], np.float32(2))


def test_readers_without_omitted_parts_refuse_them() -> None:
    """To a reader that asks `leaf_width` of every leaf, as all did before, the dtype is unknown: nothing is misread."""
    with pytest.raises(InvalidValue, match=r"unknown dtype 'omitted:\|u1'"):
        leaf_width("omitted:|u1", (84, 84, 3))


def test_omitted_values_take_no_bytes_and_say_what_they_were() -> None:
    """An omitted layout keeps dtype and shape, has width 0 and no column; none and omitted stay what they are."""
    layout = layout_of(np.zeros((84, 84), np.uint8)).omitted()
    check_layout(layout)
    assert layout == Layout("omitted:|u1", (84, 84), 0)
    assert layout.omitted() == layout
    assert NONE.omitted() == NONE
    assert encode_value(layout, np.zeros((84, 84), np.uint8)) == pack(layout, [b""]) == b""
    assert unpack(layout, b"", 3) == [b""] * 3
    assert decode_value(layout, b"") is None


def test_the_empty_action_of_a_reset() -> None:
    """A fixed width pads it with zeros; JSON and variable structs read it as None, text as empty."""
    fixed = layout_of(np.array([1, 2], np.int16))
    assert unpack(fixed, pack(fixed, [b"", b"\x01\x00\x02\x00"]), 2) == [bytes(4), b"\x01\x00\x02\x00"]
    for value, empty in (("go", ""), ({"tool": "x"}, None), ({"a": np.int64(1), "t": "x"}, None)):
        layout = layout_of(value)
        first, second = unpack(layout, pack(layout, [b"", encode_value(layout, value)]), 2)
        assert decode_value(layout, first) == empty
        assert decode_value(layout, second) == value


def test_pack_refuses_a_value_of_another_width() -> None:
    """One value a byte short beside one a byte long is refused, though the column's length would fit."""
    layout = layout_of(np.zeros(2, np.float32))
    with pytest.raises(InvalidValue, match="not the 8"):
        pack(layout, [bytes(7), bytes(9)])

"""Strict JSON: every parser reads it, whatever the value, and says of it what the documentation says."""

import json
import math
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbus.schemas.strict_json import CONTAINS_ITSELF, MAX_DEPTH, TOO_DEEP, strict_json, utf8_text

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(st.characters()),
    st.binary(max_size=4),
    st.sampled_from([np.float32(math.nan), np.zeros((2, 1)), np.array([math.inf]), np.str_("\ud800"), np.int8(3)]),
)
keys = st.one_of(st.text(st.characters(), max_size=2), st.integers(0, 3), st.booleans(), st.none(), st.floats())
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.tuples(inner), st.dictionaries(keys, inner, max_size=4)),
)


def refuse(value: object) -> NoReturn:
    """Raise, as a caller without a word for it does."""
    raise TypeError(type(value).__name__)


def parsed(text: str) -> Any:
    """Parse as strict parsers do: no word for NaN, no key twice, valid UTF-8."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in found}) == len(found), "a key is there twice"
        return dict(found)

    return json.loads(text.encode(), object_pairs_hook=pairs, parse_constant=refuse)


def parts(value: Any) -> int:
    """Count the values and containers in a value."""
    if isinstance(value, dict):
        return 1 + sum(parts(part) for part in value.values())
    return 1 + sum(parts(part) for part in value) if isinstance(value, (list, tuple)) else 1


@settings(max_examples=200, deadline=None)
@given(values)
def test_any_value_is_strict_json_with_all_its_parts(value: Any) -> None:
    """It parses by the strictest rules, and no part is lost in another one's key."""
    found = parsed(strict_json(value, refuse))
    if not any(isinstance(v, np.ndarray) for v in _walk(value)):
        assert parts(found) == parts(value)


def _walk(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [value, *(leaf for part in inner for leaf in _walk(part))]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([math.nan, math.inf, -math.inf, 1.5, 1e308, 5e-324], ["NaN", "Infinity", "-Infinity", 1.5, 1e308, 5e-324]),
        ([2**64 - 1, -(2**63), 2**64, -(2**63) - 1], [2**64 - 1, -(2**63), str(2**64), str(-(2**63) - 1)]),
        (10**5000, hex(10**5000)),
        ("a\ud800b😀", r"a\ud800b😀"),
        ({"\udfff": "\x00"}, {r"\udfff": "\x00"}),
        (
            {1: "a", "1": "b", False: "c", None: "d", 0.5: "e"},
            {"1": "a", "1 (2)": "b", "false": "c", "null": "d", "0.5": "e"},
        ),
        ({(1, 2): 3, math.nan: 4}, {"(1, 2)": 3, "NaN": 4}),
        ({3, 1, 2}, [1, 2, 3]),
        (b"ab\xff", r"ab\xff"),
        ((1, (2,)), [1, [2]]),
        (np.array([[1.0, math.nan]]), [[1.0, "NaN"]]),
        (np.float16(0.5), 0.5),
        (np.datetime64("2026-01-01"), "datetime.date(2026, 1, 1)"),
    ],
    ids=lambda v: type(v).__name__,
)
def test_what_json_has_no_word_for_is_replaced(value: Any, said: Any) -> None:
    """The table of docs/recorder.md, row by row."""
    assert parsed(strict_json(value, repr)) == said


def test_depth_and_cycles_are_bounded() -> None:
    """A thousand levels, and a value that contains itself, end in a remark; a value that is there twice does not."""
    deep: Any = 1
    for _ in range(50_000):
        deep = [deep]
    found = parsed(strict_json({"deep": deep, "loss": 0.5}, refuse))
    assert found["loss"] == 0.5
    inner, levels = found["deep"], 0
    while isinstance(inner, list):
        inner, levels = inner[0], levels + 1
    assert (inner, levels) == (TOO_DEEP, MAX_DEPTH)
    cyclic: dict[str, Any] = {"loss": 0.5}
    cyclic["me"] = [cyclic, cyclic]
    assert parsed(strict_json(cyclic, refuse)) == {"loss": 0.5, "me": [CONTAINS_ITSELF] * 2}
    shared = {"a": 1}
    assert parsed(strict_json([shared, shared], refuse)) == [shared, shared]


def test_an_unknown_object_is_the_callers_to_say() -> None:
    """What `unknown` returns is made strict too; what it raises arrives."""
    assert parsed(strict_json({"x": object()}, lambda _: {"said": math.nan})) == {"x": {"said": "NaN"}}
    with pytest.raises(TypeError, match="object"):
        strict_json([object()], refuse)


@given(st.text(st.characters()))
@settings(max_examples=50, deadline=None)
def test_text_is_utf8_and_distinct(text: str) -> None:
    """Any text can be encoded; text that could be already is unchanged."""
    said = utf8_text(text)
    said.encode()
    assert said == text or "\\ud" in said

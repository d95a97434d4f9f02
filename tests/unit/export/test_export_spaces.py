"""Spaces come back from their recorded description, and where it does not fit the values, from those."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runbus.config.errors import InvalidValue
from runbus.export.spaces import space_of
from runbus.gymnasium.spaces import space_json
from runbus.schemas.layout import Layout, layout_of
from tests.unit.export.recorded_episodes import recorded

_SHAPES = st.lists(st.integers(1, 3), max_size=2).map(tuple)
_BOXES = st.builds(
    lambda shape, dtype, low: spaces.Box(
        np.dtype(dtype).type(low), np.dtype(dtype).type(low + 3), shape, np.dtype(dtype).type
    ),
    _SHAPES,
    st.sampled_from(["f2", "f4", "f8", "i1", "u1", "i8"]),
    st.integers(0, 50),
)
_LEAVES = st.one_of(
    _BOXES,
    st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 9), st.integers(-5, 5)),
    st.builds(spaces.MultiDiscrete, st.lists(st.integers(1, 5), min_size=1, max_size=4)),
    st.builds(spaces.MultiBinary, st.one_of(st.integers(1, 5), st.just([2, 3]))),
    st.builds(
        lambda n, charset: spaces.Text(n, charset=charset), st.integers(1, 9), st.sampled_from(["ab", "é/ ", "az09"])
    ),
)
_SPACES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3).map(spaces.Dict),
    ),
    max_leaves=6,
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(space=_SPACES)
def test_a_described_space_is_the_same_again(space: spaces.Space[Any]) -> None:
    """Every space that has only bounds of its own, at any depth."""
    value = space.sample()
    (episode,) = recorded(lambda recorder: recorder.reset(value), observation_space=space_json(space))
    layout = episode.rows.layouts[1]
    assume(layout.dtype != "json")  # a dict of nothing but text is
    assert space_of(space_json(space), layout) == space


def test_many_bounds_are_the_outermost() -> None:
    """A description has no more than 16 bounds: the space has every value of the recorded one in it."""
    recorded = spaces.Box(-np.arange(20.0), np.arange(20.0) + 1, dtype=np.float64)
    found = space_of(space_json(recorded), layout_of(recorded.sample()))
    assert found == spaces.Box(-19.0, 20.0, (20,), np.float64)


@pytest.mark.parametrize(
    "description",
    [
        "",
        "no JSON",
        "[]",
        '{"type": "Box"}',
        '{"type": "Box", "shape": [2], "dtype": "float64", "low": 0, "high": 1}',
        '{"type": "Box", "shape": [3], "dtype": "float32", "low": 0, "high": 1}',
        '{"type": "Discrete", "n": 3, "start": 0}',
        '{"type": "Text", "min_length": 1, "max_length": 3}',
        '{"type": "Dict", "spaces": {"a": {}}}',
    ],
)
def test_the_values_decide(description: str) -> None:
    """Whatever else a description says, or if it says nothing: all numbers of the recorded dtype and shape."""
    found = space_of(description, layout_of(np.zeros(2, np.float32)))
    assert found == spaces.Box(-np.inf, np.inf, (2,), np.float32)


def test_a_part_that_has_no_space_is_named() -> None:
    """The user is told which part of a dict it is."""
    nested = Layout('struct:["dict",[["a",["tuple",[["<f8",[2]],["json",[]]]]]]]', (), -1)
    with pytest.raises(InvalidValue, match=r"\['a'\]\[1\] are recorded as json"):
        space_of("", nested)

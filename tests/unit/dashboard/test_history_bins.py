"""Bins of a curve: a power of two wide, at multiples of it, no more than asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runbus.dashboard.history.bins import whole, width_of

EDGE = st.integers(-(2**61), 2**61)


@given(EDGE, st.integers(0, 2**60), st.integers(1, 4096))
def test_the_width_is_the_least_power_of_two(first: int, span: int, bins: int) -> None:
    """So many bins cover the range, half as wide ones do not; one more may be cut at an edge."""
    width = width_of(first, first + span, bins)
    assert width & (width - 1) == 0
    assert width * bins >= span + 1
    assert width == 1 or (width // 2) * bins < span + 1
    start, end = whole(first, first + span, width)
    assert (end - start + 1) // width <= bins + 1


@given(EDGE, st.integers(0, 2**60), st.integers(0, 40))
def test_a_range_is_whole_bins(first: int, span: int, power: int) -> None:
    """It holds what was asked for, and its edges are multiples of the width: the bin of a point never moves."""
    width = 2**power
    start, end = whole(first, first + span, width)
    assert start <= first
    assert end >= first + span
    assert start % width == 0
    assert (end + 1) % width == 0
    assert first - start < width
    assert end - first - span < width


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.integers(1, 2000))
def test_a_run_that_goes_on_moves_no_bin(length: int, more: int, bins: int) -> None:
    """Where the width stays the same, the bins do; else each is whole in one of the new ones."""
    before, after = width_of(0, length, bins), width_of(0, length + more, bins)
    assert after % before == 0
